package fault

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip" // for clients that compress
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
)

// GRPC is a proxy before a gRPC server whose calls are unary, as all calls of Temporal are. It passes on
// every method, with metadata, deadlines, cancellation and the details of a status.
type GRPC struct {
	*Switch
	address  string
	upstream *grpc.ClientConn
	holds    rules[string]
	losses   rules[string]
}

// maxMessage is far above what Temporal accepts, so that the proxy is not the limit.
const maxMessage = 64 << 20

// NewGRPC starts a proxy before the server at target (host:port).
func NewGRPC(t testing.TB, target string) *GRPC {
	t.Helper()
	p := &GRPC{Switch: newSwitch()}
	var err error
	limits := []grpc.CallOption{grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)}
	p.upstream, err = grpc.NewClient("passthrough:///"+target,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(),
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(append(limits, grpc.ForceCodecV2(asItIs{}))...),
		// The proxy must reconnect to a restarted server before a test calls it.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay:  20 * time.Millisecond,
				Multiplier: 1.5,
				MaxDelay:   200 * time.Millisecond,
			},
			MinConnectTimeout: 5 * time.Second,
		}))
	require.NoError(t, err)

	srv := grpc.NewServer(
		grpc.UnknownServiceHandler(p.serve),
		grpc.ForceServerCodecV2(asItIs{}),
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage),
		// Temporal's client sends pings more often than a server allows by default.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
		grpc.WaitForHandlers(true))
	l := p.listen(t)
	p.address = l.address()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		p.close()
		srv.Stop()
		if err := <-served; err != nil {
			assert.ErrorIs(t, err, grpc.ErrServerStopped) // before it had begun to serve
		}
		assert.NoError(t, p.upstream.Close())
	})
	return p
}

// Address is the proxy's own host and port. It does not change.
func (p *GRPC) Address() string { return p.address }

// Hold stops the next calls whose full method ("/service/Method") matches, as many as times says, before
// they are forwarded, until the rule is released. A call that its caller has given up by then is not
// forwarded. A nil match takes all calls; match must be safe for concurrent use.
func (p *GRPC) Hold(match func(fullMethod string) bool, times int) *Rule {
	return p.holds.add(match, newRule(times))
}

// LoseAnswer lets the server perform the next calls that match, even when the caller gives up meanwhile (but
// not beyond its deadline), and then answers codes.Unavailable. An error is an answer that is lost too.
// If the server was unavailable, or too late, the rule has not acted. Temporal's client itself repeats a call
// that was unavailable. See Hold for match and times.
func (p *GRPC) LoseAnswer(match func(fullMethod string) bool, times int) *Rule {
	return p.losses.add(match, newRule(times))
}

var errDown = status.Error(codes.Unavailable, "fault: the service is down")

// serve handles one call.
func (p *GRPC) serve(_ any, stream grpc.ServerStream) error {
	method, ok := grpc.MethodFromServerStream(stream)
	if !ok {
		return status.Error(codes.Internal, "fault: a call without a method")
	}
	var request []byte
	if err := stream.RecvMsg(&request); err != nil {
		return err
	}

	ctx, cancel := context.WithCancel(p.era())
	defer cancel()
	stop := context.AfterFunc(stream.Context(), cancel)
	defer stop()
	if err := p.await(ctx); err != nil {
		return gaveUp(stream)
	}
	if held := p.holds.take(method); held != nil {
		held.acted()
		held.wait(ctx)
		if p.await(ctx) != nil {
			return gaveUp(stream)
		}
	}

	if rule := p.losses.take(method); rule != nil {
		err := p.forward(p.life, stream, method, request).err
		if c := status.Code(err); c == codes.Unavailable || c == codes.DeadlineExceeded {
			rule.giveBack()
			return err
		}
		rule.acted()
		return status.Error(codes.Unavailable, "fault: the answer was lost")
	}

	got := p.forward(ctx, stream, method, request)
	if p.await(ctx) != nil {
		return gaveUp(stream)
	}
	return got.pass(stream)
}

// gaveUp is the answer to a call that the proxy did not let through: the end of the call, or of its connection.
func gaveUp(stream grpc.ServerStream) error {
	if err := stream.Context().Err(); err != nil {
		return status.FromContextError(err).Err()
	}
	return errDown
}
