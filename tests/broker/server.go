package broker

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/tests/localservice"
)

// Server is a RabbitMQ that belongs to one test: it may stop, and it has the platform's own exchanges and queues.
type Server struct {
	t       testing.TB
	dir     string
	running *localservice.RabbitMQ
}

// startTimeout bounds a start: a broker takes some seconds, and longer while other tests run.
const startTimeout = 2 * time.Minute

// Start starts a broker. It ends with the test. A machine without RabbitMQ's program skips the test.
func Start(t testing.TB) *Server {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a server, and the tests are run with -short")
	}
	if len(localservice.Missing(localservice.RabbitMQPackage)) > 0 {
		t.Skip("the test stops its broker, so it needs RabbitMQ's program on this machine")
	}
	dir, err := os.MkdirTemp("", "holdfast-broker-")
	require.NoError(t, err)
	s := &Server{t: t, dir: dir}
	t.Cleanup(func() {
		s.Stop()
		require.NoError(t, os.RemoveAll(dir))
	})
	s.Up()
	return s
}

// Up starts the broker again with its data, at its old address.
func (s *Server) Up() {
	s.t.Helper()
	o := localservice.Options{Dir: filepath.Join(s.dir, "rabbitmq")}
	if s.running != nil {
		o.Port = s.running.Port()
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	running, err := localservice.StartRabbitMQ(ctx, o)
	require.NoError(s.t, err)
	if s.running != nil {
		require.Equal(s.t, s.running.Port(), running.Port())
	}
	s.running = running
}

// Stop stops the broker; its data stays. Stopping a stopped broker does nothing.
func (s *Server) Stop() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	require.NoError(s.t, s.running.Stop(ctx))
}

// URL is the broker's address.
func (s *Server) URL() string { return s.running.URL() }
