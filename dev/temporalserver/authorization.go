package temporalserver

import (
	"encoding/base64"

	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/temporal"
)

// Authorization is how a server decides what a client may do: its tokens are sent over TLS, and Rules is what a
// cluster's configuration has under global.authorization.
type Authorization struct {
	Rules            config.Authorization
	Certificate, Key string // of the frontend, PEM
	CA               string // the authority of Certificate, PEM
}

// apply changes a configuration. The parts of the server have no token for each other, so they use a frontend of their
// own, which asks for none. Only the real one is for clients.
func (a *Authorization) apply(
	c *config.Config, hosts map[primitives.ServiceName]static.Hosts, internalPort int, logger log.Logger,
) ([]temporal.ServerOption, error) {
	authorizer, err := authorization.GetAuthorizerFromConfig(&a.Rules)
	if err != nil {
		return nil, err
	}
	mapper, err := authorization.GetClaimMapperFromConfig(&a.Rules, logger)
	if err != nil {
		return nil, err
	}
	audience, err := authorization.GetAudienceMapperFromConfig(&a.Rules)
	if err != nil {
		return nil, err
	}

	c.Global.Authorization = a.Rules
	c.Global.TLS.Frontend.Server = config.ServerTLS{
		CertData: base64.StdEncoding.EncodeToString([]byte(a.Certificate)),
		KeyData:  base64.StdEncoding.EncodeToString([]byte(a.Key)),
	}
	c.Global.TLS.Frontend.Client.RootCAData = []string{base64.StdEncoding.EncodeToString([]byte(a.CA))}
	c.PublicClient = config.PublicClient{}
	c.Services[string(primitives.InternalFrontendService)] = config.Service{
		RPC: config.RPC{GRPCPort: internalPort, BindOnIP: "127.0.0.1"},
	}
	hosts[primitives.InternalFrontendService] = static.SingleLocalHost(hostPort(internalPort))
	return []temporal.ServerOption{
		temporal.WithAuthorizer(authorizer),
		temporal.WithClaimMapper(func(*config.Config) authorization.ClaimMapper { return mapper }),
		temporal.WithAudienceGetter(func(*config.Config) authorization.JWTAudienceMapper { return audience }),
	}, nil
}
