package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"time"

	"holdfast/internal/telemetry"
)

// CheckProfileAddress refuses an address for profiles that another machine could reach: a profile shows what a process
// has in memory.
func CheckProfileAddress(address string) error {
	if address == "" {
		return nil
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil || !at.Addr().IsLoopback() {
		return fmt.Errorf("PROFILE_ADDRESS is %q; it is an address of this machine alone, as in 127.0.0.1:6060", address)
	}
	return nil
}

// ServeProfiles serves Go's profiles below /debug/pprof/, and the level of the log at /debug/log-level, at the given
// address until ctx ends.
func ServeProfiles(ctx context.Context, address string, log *slog.Logger, level *slog.LevelVar) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.Handle("/debug/log-level", telemetry.LevelHandler(level))

	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("serve profiles on %s: %w", address, err)
	}
	srv := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	log.InfoContext(ctx, "serving profiles", "address", l.Addr().String())
	defer context.AfterFunc(ctx, func() { _ = srv.Close() })() // a profile that is being taken ends too
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve profiles on %s: %w", address, err)
	}
	return nil
}
