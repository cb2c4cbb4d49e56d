// Package temporalserver runs a whole Temporal server and its Web UI inside this process, on the caller's
// PostgreSQL server. The development stack and the tests use it in place of a cluster: it is the real server
// with all its services, one instance each, listening on 127.0.0.1 only.
package temporalserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	uiserver "github.com/temporalio/ui-server/v2/server"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	"github.com/temporalio/ui-server/v2/server/server_options"
	"go.temporal.io/sdk/client"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/temporal"

	"holdfast/internal/await"
	"holdfast/internal/clienttls"
	"holdfast/tests/localservice"
)

// NoUI as Config.UIPort starts the server without its Web UI.
const NoUI = -1

// Config says how to run the server.
type Config struct {
	// PostgresURL is any database of the PostgreSQL server that holds Temporal's own two databases;
	// they are made there, and brought up to date, as needed.
	PostgresURL string
	// Database is the name of the main database; the database for the lists of workflows has the same
	// name with "_visibility". Empty means DefaultDatabase. Two servers must not share them.
	Database string
	// FrontendPort is the port for clients: 0 picks a free port. A taken port is an error, because
	// every process is configured with it.
	FrontendPort int
	// UIPort is the port of the Web UI, by the same rules, or NoUI.
	UIPort int
	// HistoryShards is fixed when the databases are made; 0 means 4, plenty for one machine.
	HistoryShards int32
	// CodecEndpoint is the address of the codec server that the Web UI asks for the plaintext of payloads, or empty.
	CodecEndpoint string
	// DefaultNamespace is the namespace that the Web UI opens first.
	DefaultNamespace string
	// DynamicConfig overrides the server's settings, for tests that cannot wait for a production delay.
	DynamicConfig map[dynamicconfig.Key]any
	// Authorization makes the server ask its clients for tokens, as a production cluster does. Nil: every client may do
	// everything. It works without the Web UI only.
	Authorization *Authorization
	// Log receives the server's messages of Warn and above. Nil is silent.
	Log *slog.Logger
}

// Server is a running Temporal server.
type Server struct {
	temporal temporal.Server
	logger   logger
	ui       *uiserver.Server
	uiDone   chan struct{}
	address  string
	uiURL    string
}

// Start runs the server and returns once a client can use it. ctx bounds the start, not the life of
// the server.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	logger := newLogger(cfg.Log)
	databases, err := parseDatabases(cfg)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, cfg.PostgresURL, databases, logger); err != nil {
		return nil, err
	}
	addresses, err := assignPorts(cfg)
	if err != nil {
		return nil, err
	}

	configured, hosts := serverConfig(cfg, databases, addresses), addresses.hosts()
	options := []temporal.ServerOption{
		temporal.WithDynamicConfigClient(settings(cfg.DynamicConfig)),
		temporal.WithLogger(logger),
	}
	services := temporal.DefaultServices
	if cfg.Authorization != nil {
		authorized, err := cfg.Authorization.apply(configured, hosts, addresses.internalFrontend, logger)
		if err != nil {
			return nil, err
		}
		options = append(options, authorized...)
		services = append(slices.Clone(services), string(primitives.InternalFrontendService))
	}
	server, err := temporal.NewServer(append(options,
		temporal.ForServices(services),
		temporal.WithConfig(configured),
		temporal.WithStaticHosts(hosts),
	)...)
	if err != nil {
		return nil, fmt.Errorf("assemble the Temporal server: %w", err)
	}
	if err := server.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the Temporal server: %w", err), server.Stop())
	}

	s := &Server{temporal: server, logger: logger, address: hostPort(addresses.frontend)}
	if err := s.awaitHealthy(ctx, cfg.Authorization); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	if cfg.UIPort != NoUI {
		if err := s.startUI(ctx, addresses.ui, cfg); err != nil {
			return nil, errors.Join(err, s.Stop())
		}
	}
	return s, nil
}

// Address is where clients connect, as host:port.
func (s *Server) Address() string { return s.address }

// UIURL is the address of the Web UI, or empty.
func (s *Server) UIURL() string { return s.uiURL }

// Stop ends the Web UI and then the server. Workflows stay as they are in the database. Some of the server's
// goroutines outlive it, so the process should end afterwards.
func (s *Server) Stop() error {
	s.logger.stopping.Store(true)
	if s.ui != nil {
		s.ui.Stop()
		<-s.uiDone
		s.ui = nil
	}
	if err := s.temporal.Stop(); err != nil {
		return fmt.Errorf("stop the Temporal server: %w", err)
	}
	return nil
}

// awaitHealthy waits until the frontend itself answers that it serves.
func (s *Server) awaitHealthy(ctx context.Context, authorization *Authorization) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	options := client.Options{HostPort: s.address, Logger: silent{}}
	if authorization != nil {
		var err error
		if options.ConnectionOptions.TLS, err = (clienttls.Config{CA: authorization.CA}).Build(); err != nil {
			return err
		}
	}
	c, err := client.NewLazyClient(options)
	if err != nil {
		return fmt.Errorf("make a client for the Temporal server: %w", err)
	}
	defer c.Close()
	return poll(ctx, "the Temporal server", func(ctx context.Context) error {
		_, err := c.CheckHealth(ctx, &client.CheckHealthRequest{})
		return err
	})
}

// startUI runs the Web UI. It ends the whole process when it cannot listen, so the port was checked
// just before.
func (s *Server) startUI(ctx context.Context, port int, cfg Config) error {
	s.ui = uiserver.NewServer(server_options.WithConfigProvider(&uiconfig.Config{
		TemporalGRPCAddress: s.address,
		Host:                "127.0.0.1",
		Port:                port,
		EnableUI:            true,
		DefaultNamespace:    cfg.DefaultNamespace,
		DisableNewsFetch:    true,
		HideLogs:            true,
		// These are never right for an order: the api starts its workflow, with the row and the update that belong
		// to it, and our workflows have no signals. Operators may cancel, reset and terminate.
		StartWorkflowDisabled:  true,
		WorkflowSignalDisabled: true,
		// An update carries its caller and key, which only the api knows. A pause stops the deadline's timer, and
		// activity commands can mark a step as done or failed that is not.
		WorkflowUpdateDisabled:   true,
		WorkflowPauseDisabled:    true,
		ActivityCommandsDisabled: true,
		// The UI is plain HTTP on this machine; without this setting a browser drops its cookie and the UI
		// refuses every action.
		CORS: uiconfig.CORS{CookieInsecure: true},
		Codec: uiconfig.Codec{
			Endpoint:            cfg.CodecEndpoint,
			IncludeCredentials:  cfg.CodecEndpoint != "",
			DefaultErrorMessage: "What workflows hold is encrypted. To read it in this browser, sign in at",
			DefaultErrorLink:    cfg.CodecEndpoint,
		},
	}))
	s.uiDone = make(chan struct{})
	go func() {
		defer close(s.uiDone)
		_ = s.ui.Start()
	}()
	s.uiURL = "http://" + hostPort(port)
	return poll(ctx, "the Temporal Web UI", func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.uiURL+"/healthz", nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = res.Body.Close() }()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("it answers %s", res.Status)
		}
		return nil
	})
}

// poll repeats a check until it succeeds or ctx is over.
func poll(ctx context.Context, what string, check func(context.Context) error) error {
	if err := await.Until(ctx, 25*time.Millisecond, func() error { return check(ctx) }); err != nil {
		return fmt.Errorf("%s is not ready: %w", what, err)
	}
	return nil
}

// ports are the ports on which the parts of the server listen.
type ports struct {
	frontend, frontendHTTP, internalFrontend, history, matching, worker, ui int
}

func assignPorts(cfg Config) (ports, error) {
	var p ports
	for _, want := range []struct {
		port   *int
		wanted int
		what   string
	}{
		{&p.frontend, cfg.FrontendPort, "Temporal"},
		{&p.ui, max(cfg.UIPort, 0), "Temporal Web UI"},
		{&p.frontendHTTP, 0, "Temporal HTTP"},
		{&p.internalFrontend, 0, "Temporal internal frontend"},
		{&p.history, 0, "Temporal history"},
		{&p.matching, 0, "Temporal matching"},
		{&p.worker, 0, "Temporal worker"},
	} {
		port, err := localservice.Port(want.wanted, want.what, slog.New(slog.DiscardHandler))
		if err != nil {
			return ports{}, err
		}
		if want.wanted != 0 && port != want.wanted {
			return ports{}, fmt.Errorf("port %d is taken by another program: stop it, or choose another port for %s",
				want.wanted, want.what)
		}
		*want.port = port
	}
	return p, nil
}

func hostPort(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
