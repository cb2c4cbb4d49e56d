package fault

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// upstream is a gRPC server with the health service and with methods of any name. It performs calls with a
// wrapperspb.BytesValue, and their metadata says how.
type upstream struct {
	address   string
	performed atomic.Int64
	stop      func()

	entered, proceed chan struct{} // a call with "block" announces itself and waits
	cancelled        chan struct{} // closed when such a call was cancelled
}

func newUpstream(t *testing.T, address string) *upstream {
	t.Helper()
	l, err := net.Listen("tcp", address)
	require.NoError(t, err)
	u := &upstream{
		address:   l.Addr().String(),
		entered:   make(chan struct{}),
		proceed:   make(chan struct{}),
		cancelled: make(chan struct{}),
	}
	srv := grpc.NewServer(
		grpc.UnknownServiceHandler(u.serve),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.WaitForHandlers(true))
	healthpb.RegisterHealthServer(srv, health.NewServer())
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(l) // fails when the test ends before this begins
	}()
	u.stop = sync.OnceFunc(func() {
		srv.Stop()
		<-served
	})
	t.Cleanup(u.stop)
	return u
}

func (u *upstream) serve(_ any, stream grpc.ServerStream) error {
	message := &wrapperspb.BytesValue{}
	if err := stream.RecvMsg(message); err != nil {
		return err
	}
	asked, _ := metadata.FromIncomingContext(stream.Context())
	if asked.Get("block") != nil {
		u.entered <- struct{}{}
		select {
		case <-u.proceed:
		case <-stream.Context().Done():
			close(u.cancelled)
			return stream.Context().Err()
		}
	}

	u.performed.Add(1)
	deadline := "none"
	if at, ok := stream.Context().Deadline(); ok {
		deadline = at.Round(time.Minute).UTC().Format(time.RFC3339)
	}
	if err := stream.SetHeader(metadata.Pairs(
		"seen", asked.Get("word")[0],
		"seen-bin", asked.Get("word-bin")[0],
		"deadline", deadline,
	)); err != nil {
		return err
	}
	stream.SetTrailer(metadata.Pairs("after", "all"))
	if asked.Get("fail") != nil {
		s, err := status.New(codes.AlreadyExists, "it is there").WithDetails(wrapperspb.String("the run's id"))
		if err != nil {
			return err
		}
		return s.Err()
	}
	return stream.SendMsg(message)
}

func dial(t *testing.T, p *GRPC) *grpc.ClientConn {
	t.Helper()
	c, err := grpc.NewClient(p.Address(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay:  time.Millisecond,
				Multiplier: 1,
				MaxDelay:   time.Millisecond,
			},
			MinConnectTimeout: time.Second,
		}))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

const method = "/holdfast.test.Service/Do"

func call(ctx context.Context, c *grpc.ClientConn, value string, options ...grpc.CallOption) (string, error) {
	ctx = metadata.AppendToOutgoingContext(ctx, "word", "spoken", "word-bin", "\x00\xff")
	out := &wrapperspb.BytesValue{}
	err := c.Invoke(ctx, method, wrapperspb.Bytes([]byte(value)), out, options...)
	return string(out.GetValue()), err
}

func TestGRPCPassesOnWhatItGets(t *testing.T) {
	t.Parallel()
	c := dial(t, NewGRPC(t, newUpstream(t, "127.0.0.1:0").address))
	var header, trailer metadata.MD
	got, err := call(t.Context(), c, "value",
		grpc.Header(&header), grpc.Trailer(&trailer), grpc.UseCompressor(gzip.Name))
	require.NoError(t, err)
	require.Equal(t, "value", got)
	require.Equal(t, []string{"spoken", "\x00\xff", "none"},
		[]string{header["seen"][0], header["seen-bin"][0], header["deadline"][0]})
	require.Equal(t, []string{"all"}, trailer["after"])

	deadline := time.Now().Add(time.Hour)
	ctx, cancel := context.WithDeadline(t.Context(), deadline)
	defer cancel()
	_, err = call(ctx, c, "", grpc.Header(&header))
	require.NoError(t, err)
	passed, err := time.Parse(time.RFC3339, header["deadline"][0])
	require.NoError(t, err)
	require.WithinDuration(t, deadline, passed, 2*time.Minute)

	failing := metadata.AppendToOutgoingContext(t.Context(), "fail", "yes")
	_, err = call(failing, c, "", grpc.Header(&header), grpc.Trailer(&trailer))
	s := status.Convert(err)
	require.Equal(t, codes.AlreadyExists, s.Code())
	require.Equal(t, "it is there", s.Message())
	require.Len(t, s.Details(), 1)
	require.Equal(t, "the run's id", s.Details()[0].(*wrapperspb.StringValue).GetValue())
	require.Equal(t, []string{"spoken"}, header["seen"])
	require.Equal(t, []string{"all"}, trailer["after"])

	big := string(make([]byte, 8<<20)) // twice what is allowed by default
	got, err = call(t.Context(), c, big)
	require.NoError(t, err)
	require.Len(t, got, len(big))

	checked, err := healthpb.NewHealthClient(c).Check(t.Context(), &healthpb.HealthCheckRequest{})
	require.NoError(t, err)
	require.Equal(t, healthpb.HealthCheckResponse_SERVING, checked.GetStatus())
	_, err = healthpb.NewHealthClient(c).Check(t.Context(), &healthpb.HealthCheckRequest{Service: "unknown"})
	require.Equal(t, codes.NotFound, status.Code(err))
}

func TestGRPCPassesOnCancellation(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, "127.0.0.1:0")
	c := dial(t, NewGRPC(t, u.address))
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(t.Context(), "block", "yes"))
	sent := result(func() error { _, err := call(ctx, c, ""); return err })
	soon(t, "the call arrives", u.entered)
	cancel()
	require.Equal(t, codes.Canceled, status.Code(ended(t, "the call", sent)))
	soon(t, "the server learns of it", u.cancelled)
	require.Zero(t, u.performed.Load())
}
