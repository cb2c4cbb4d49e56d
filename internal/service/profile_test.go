package service_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/internal/service"
)

// TestProfileAddress: profiles are served to this machine only.
func TestProfileAddress(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "127.0.0.1:6060", "[::1]:0"} {
		require.NoError(t, service.CheckProfileAddress(address), address)
	}
	for _, address := range []string{":6060", "0.0.0.0:6060", "192.168.0.1:6060", "[::]:6060", "example.com:6060"} {
		require.ErrorContains(t, service.CheckProfileAddress(address), "PROFILE_ADDRESS", address)
	}
}

// lines is a log that another goroutine writes.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) address() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var entry struct{ Address string }
	_ = json.Unmarshal(l.b.Bytes(), &entry) // it is not written yet
	return entry.Address
}

// TestServeProfiles: the profiles are there until the process stops, and a profile that is being taken does not hold up
// the stop.
func TestServeProfiles(t *testing.T) {
	t.Parallel()
	var log lines
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	level := new(slog.LevelVar)
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	go func() { done <- service.ServeProfiles(ctx, "127.0.0.1:0", logger, level) }()
	require.Eventually(t, func() bool { return log.address() != "" }, 10*time.Second, 5*time.Millisecond)

	res, err := http.Get("http://" + log.address() + "/debug/pprof/heap") //nolint:noctx // of this machine
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode)

	change, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+log.address()+"/debug/log-level",
		strings.NewReader(`{"level": "debug"}`))
	require.NoError(t, err)
	res, err = http.DefaultClient.Do(change)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, slog.LevelDebug, level.Level())

	long := make(chan struct{})
	go func() {
		res, err := http.Get("http://" + log.address() + "/debug/pprof/trace?seconds=60") //nolint:noctx // of this machine
		if err == nil {
			_ = res.Body.Close()
		}
		close(long)
	}()
	stop()
	require.NoError(t, <-done)
	<-long
	http.DefaultClient.CloseIdleConnections()
}
