package localservice

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// RabbitMQ is a private RabbitMQ server with its web console, and the Erlang port mapper it needs.
type RabbitMQ struct {
	*instance
	port, management, metrics, tlsPort int
}

// StartRabbitMQ starts RabbitMQ in o.Dir and returns once it accepts connections. ctx bounds the
// start, not the life of the server. Releases 3.10 (Debian 12) and later are supported.
func StartRabbitMQ(ctx context.Context, o Options) (*RabbitMQ, error) {
	o, err := o.checked()
	if err != nil {
		return nil, err
	}
	owner, err := identityFor("rabbitmq", "nobody")
	if err != nil {
		return nil, err
	}
	i, err := prepare(ctx, "RabbitMQ", o, owner,
		processKind{"rabbitmq-server", syscall.SIGTERM}, // the start script, which passes the signal on
		processKind{"beam.smp", syscall.SIGTERM},        // the server, if its script was killed
		processKind{"erl_child_setup", syscall.SIGTERM},
		processKind{"inet_gethost", syscall.SIGTERM},
		processKind{"epmd", syscall.SIGTERM},
	)
	if err != nil {
		return nil, err
	}
	r := &RabbitMQ{instance: i}
	if err := r.start(ctx, o); err != nil {
		return nil, i.abandon(err)
	}
	return r, nil
}

func (r *RabbitMQ) start(ctx context.Context, o Options) error {
	server, err := find("rabbitmq-server", rabbitmqBin)
	if err != nil {
		return err
	}
	epmd, err := find("epmd")
	if err != nil {
		return err
	}
	var mapper, distribution int
	for _, p := range []struct {
		port   *int
		wanted int
		what   string
	}{
		{&r.port, o.Port, r.title},
		{&r.management, o.ManagementPort, "RabbitMQ console"},
		{&r.metrics, 0, "RabbitMQ metrics"},
		{&mapper, 0, "Erlang port mapper"},
		{&distribution, 0, "Erlang distribution"},
	} {
		if *p.port, err = r.takePort(p.wanted, p.what); err != nil {
			return err
		}
	}
	secure := ""
	if o.TLS != nil {
		if r.tlsPort, err = r.takePort(0, r.title+" with TLS"); err != nil {
			return err
		}
		files, err := r.writeTLS(*o.TLS)
		if err != nil {
			return err
		}
		secure = fmt.Sprintf(`listeners.ssl.1 = 127.0.0.1:%d
ssl_options.cacertfile = %s
ssl_options.certfile = %s
ssl_options.keyfile = %s
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
`, r.tlsPort, files.ca, files.certificate, files.key)
	}
	if err := r.configure(secure); err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	// Erlang would start the port mapper as a daemon of the whole machine, which stays when RabbitMQ
	// stops and which other Erlang programs share. So this instance gets a port mapper of its own.
	err = r.run(ctx, program{
		name:  "epmd",
		path:  epmd,
		dir:   r.dir,
		owner: r.owner,
		log:   filepath.Join(r.dir, "epmd.log"),
		stop:  syscall.SIGTERM,
		args:  []string{"-port", strconv.Itoa(mapper), "-address", "127.0.0.1"},
	}, func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(mapper)))
		if err != nil {
			return err
		}
		return conn.Close()
	})
	if err != nil {
		return err
	}
	// The script in the distribution's sbin directory would change the user by su; this is the script that it calls.
	return r.run(ctx, program{
		name:  "rabbitmq-server",
		path:  server,
		dir:   r.dir,
		owner: r.owner,
		log:   filepath.Join(r.dir, "rabbitmq.log"),
		stop:  syscall.SIGTERM,
		env:   r.environment(mapper, distribution),
	}, r.dial)
}

// configure writes the server's files at each start, because the ports may have moved. The lines of secure are for TLS.
func (r *RabbitMQ) configure(secure string) error {
	files := map[string]string{
		"rabbitmq.conf": fmt.Sprintf(`# Written at each start.
listeners.tcp.1 = 127.0.0.1:%d
management.tcp.ip = 127.0.0.1
management.tcp.port = %d
prometheus.tcp.ip = 127.0.0.1
prometheus.tcp.port = %d
log.console = true
log.console.level = info
log.file = false
%s`, r.port, r.management, r.metrics, secure),
		"enabled_plugins":   "[rabbitmq_management,rabbitmq_prometheus].\n",
		"rabbitmq-env.conf": "# Empty: the machine's own settings are not for this instance.\n",
		"advanced.config":   "[].\n",
	}
	for name, content := range files {
		path := filepath.Join(r.dir, name)
		if err := errors.Join(os.WriteFile(path, []byte(content), 0o644), r.owner.chown(path)); err != nil {
			return err
		}
	}
	return nil
}

func (r *RabbitMQ) environment(mapper, distribution int) []string {
	in := func(name string) string { return filepath.Join(r.dir, name) }
	return []string{
		// The data belongs to the node's name, so the name stays the same when the ports change. The port
		// mapper serves only this node, so the name cannot collide with another node's.
		"RABBITMQ_NODENAME=holdfast@localhost",
		"RABBITMQ_DIST_PORT=" + strconv.Itoa(distribution),
		"ERL_EPMD_PORT=" + strconv.Itoa(mapper),
		"ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false",
		"RABBITMQ_CONF_ENV_FILE=" + in("rabbitmq-env.conf"),
		"RABBITMQ_CONFIG_FILE=" + in("rabbitmq.conf"),
		"RABBITMQ_ADVANCED_CONFIG_FILE=" + in("advanced.config"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + in("enabled_plugins"),
		"RABBITMQ_GENERATED_CONFIG_DIR=" + in("config"),
		"RABBITMQ_MNESIA_BASE=" + in("mnesia"),
		"RABBITMQ_MNESIA_DIR=" + in("mnesia/node"),
		"RABBITMQ_PLUGINS_EXPAND_DIR=" + in("mnesia/plugins"),
		"RABBITMQ_FEATURE_FLAGS_FILE=" + in("mnesia/feature_flags"),
		"RABBITMQ_PID_FILE=" + in("rabbitmq.pid"),
		"RABBITMQ_LOG_BASE=" + in("log"),
		"RABBITMQ_LOGS=-",
	}
}

// dial succeeds once the server has finished booting: it opens its listeners last.
func (r *RabbitMQ) dial(ctx context.Context) error {
	conn, err := amqp.DialConfig(r.URL(), amqp.Config{
		Heartbeat: 10 * time.Second,
		Locale:    "en_US",
		Dial: func(network, addr string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			deadline, ok := ctx.Deadline()
			if !ok {
				return c, nil
			}
			return c, c.SetDeadline(deadline)
		},
	})
	if err != nil {
		return err
	}
	return conn.Close()
}

// Port is the port on which the server speaks AMQP.
func (r *RabbitMQ) Port() int { return r.port }

// URL is the server's AMQP address, virtual host "/". RabbitMQ admits this user from the same machine
// only.
func (r *RabbitMQ) URL() string { return fmt.Sprintf("amqp://guest:guest@127.0.0.1:%d/", r.port) }

// TLSURL is the address for connections with TLS, if Options.TLS is set.
func (r *RabbitMQ) TLSURL() string {
	return fmt.Sprintf("amqps://guest:guest@127.0.0.1:%d/", r.tlsPort)
}

// ManagementURL is the address of the web console; user and password are "guest".
func (r *RabbitMQ) ManagementURL() string { return fmt.Sprintf("http://127.0.0.1:%d", r.management) }

// MetricsAddress is the host and port at which the server's own metrics are.
func (r *RabbitMQ) MetricsAddress() string { return fmt.Sprintf("127.0.0.1:%d", r.metrics) }
