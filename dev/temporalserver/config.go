package temporalserver

import (
	"errors"
	"maps"
	"net"
	"net/url"
	"time"

	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/postgresql"
	"go.temporal.io/server/common/primitives"
)

// DefaultDatabase is the name that Temporal's documentation uses for its main database.
const DefaultDatabase = "temporal"

// databases are the two databases of a server.
type databases struct{ main, visibility config.SQL }

// parseDatabases turns the URL of a PostgreSQL server into the form that Temporal wants.
func parseDatabases(cfg Config) (databases, error) {
	u, err := url.Parse(cfg.PostgresURL)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") || u.Hostname() == "" {
		// The cause would show the URL with its password.
		return databases{}, errors.New("the address of PostgreSQL is not of the form postgres://user@host:port/database")
	}
	port := u.Port()
	if port == "" {
		port = "5432"
	}
	name := cfg.Database
	if name == "" {
		name = DefaultDatabase
	}
	password, _ := u.User.Password()
	one := func(name string, connections int) config.SQL {
		attributes := map[string]string{}
		for name, values := range u.Query() {
			attributes[name] = values[0]
		}
		return config.SQL{
			PluginName:        postgresql.PluginNamePGX,
			DatabaseName:      name,
			User:              u.User.Username(),
			Password:          password,
			ConnectAddr:       net.JoinHostPort(u.Hostname(), port),
			ConnectProtocol:   "tcp",
			ConnectAttributes: attributes,
			MaxConns:          connections,
			MaxIdleConns:      connections,
			MaxConnLifetime:   time.Hour,
		}
	}
	return databases{main: one(name, 20), visibility: one(name+"_visibility", 10)}, nil
}

func serverConfig(cfg Config, db databases, p ports) *config.Config {
	shards := cfg.HistoryShards
	if shards == 0 {
		shards = 4
	}
	service := func(grpc, http int) config.Service {
		return config.Service{RPC: config.RPC{GRPCPort: grpc, HTTPPort: http, BindOnIP: "127.0.0.1"}}
	}
	return &config.Config{
		Persistence: config.Persistence{
			DefaultStore:     "main",
			VisibilityStore:  "visibility",
			NumHistoryShards: shards,
			DataStores: map[string]config.DataStore{
				"main":       {SQL: &db.main},
				"visibility": {SQL: &db.visibility},
			},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10,
			MasterClusterName:        "active",
			CurrentClusterName:       "active",
			ClusterInformation: map[string]cluster.ClusterInformation{
				"active": {
					Enabled:                true,
					InitialFailoverVersion: 1,
					RPCAddress:             hostPort(p.frontend),
					HTTPAddress:            hostPort(p.frontendHTTP),
				},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		Services: map[string]config.Service{
			string(primitives.FrontendService): service(p.frontend, p.frontendHTTP),
			string(primitives.HistoryService):  service(p.history, 0),
			string(primitives.MatchingService): service(p.matching, 0),
			string(primitives.WorkerService):   service(p.worker, 0),
		},
		Archival: config.Archival{
			History:    config.HistoryArchival{State: "disabled"},
			Visibility: config.VisibilityArchival{State: "disabled"},
		},
		PublicClient: config.PublicClient{HostPort: hostPort(p.frontend)},
		NamespaceDefaults: config.NamespaceDefaults{Archival: config.ArchivalNamespaceDefaults{
			History:    config.HistoryArchivalNamespaceDefaults{State: "disabled"},
			Visibility: config.VisibilityArchivalNamespaceDefaults{State: "disabled"},
		}},
	}
}

// hosts names each service's only instance, so that the server needs no gossip to find itself.
func (p ports) hosts() map[primitives.ServiceName]static.Hosts {
	return map[primitives.ServiceName]static.Hosts{
		primitives.FrontendService: static.SingleLocalHost(hostPort(p.frontend)),
		primitives.HistoryService:  static.SingleLocalHost(hostPort(p.history)),
		primitives.MatchingService: static.SingleLocalHost(hostPort(p.matching)),
		primitives.WorkerService:   static.SingleLocalHost(hostPort(p.worker)),
	}
}

// settings are the settings that differ from the server's defaults. Update-with-start, worker deployments and
// their drainage times keep their defaults, so that a feature that works here also works on a cluster.
func settings(overrides map[dynamicconfig.Key]any) dynamicconfig.StaticClient {
	s := dynamicconfig.StaticClient{
		// One instance needs only one partition of a task queue; several partitions cost a fifth to a
		// quarter of the 95th percentile.
		dynamicconfig.MatchingNumTaskqueueReadPartitions.Key():  1,
		dynamicconfig.MatchingNumTaskqueueWritePartitions.Key(): 1,
		// A new search attribute is usable at once instead of after the next refresh of a cache.
		dynamicconfig.ForceSearchAttributesCacheRefreshOnRead.Key(): true,
		// A new namespace is known to all services in a fifth of a second instead of two.
		dynamicconfig.NamespaceCacheRefreshInterval.Key(): 200 * time.Millisecond,
	}
	maps.Copy(s, overrides)
	return s
}
