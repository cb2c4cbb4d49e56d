package localservice

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"syscall"
)

// Redis is a private Redis server.
type Redis struct {
	*instance
	port, tlsPort int
}

// StartRedis starts Redis in o.Dir and returns once it answers. Unless the instance is volatile, Redis appends
// each write to a file, which it flushes every second. ctx bounds the start, not the life of the server.
func StartRedis(ctx context.Context, o Options) (*Redis, error) {
	o, err := o.checked()
	if err != nil {
		return nil, err
	}
	owner, err := identityFor("redis", "nobody")
	if err != nil {
		return nil, err
	}
	i, err := prepare(ctx, "Redis", o, owner, processKind{"redis-server", syscall.SIGTERM})
	if err != nil {
		return nil, err
	}
	r := &Redis{instance: i}
	if err := r.start(ctx, o); err != nil {
		return nil, i.abandon(err)
	}
	return r, nil
}

func (r *Redis) start(ctx context.Context, o Options) error {
	binary, err := find("redis-server")
	if err != nil {
		return err
	}
	if r.port, err = r.takePort(o.Port, r.title); err != nil {
		return err
	}
	appendOnly := "yes"
	if o.Volatile {
		appendOnly = "no"
	}
	var secure []string
	if o.TLS != nil {
		if r.tlsPort, err = r.takePort(0, r.title+" with TLS"); err != nil {
			return err
		}
		files, err := r.writeTLS(*o.TLS)
		if err != nil {
			return err
		}
		secure = []string{
			"--tls-port", strconv.Itoa(r.tlsPort), "--tls-auth-clients", "yes",
			"--tls-ca-cert-file", files.ca, "--tls-cert-file", files.certificate, "--tls-key-file", files.key,
		}
	}
	err = r.run(ctx, program{
		name:  "redis-server",
		path:  binary,
		dir:   r.dir,
		owner: r.owner,
		args: append([]string{
			"--port", strconv.Itoa(r.port), "--bind", "127.0.0.1", "--dir", r.dir,
			"--appendonly", appendOnly, "--save", "", "--daemonize", "no", "--logfile", "",
		}, secure...),
		log:  filepath.Join(r.dir, "redis.log"),
		stop: syscall.SIGTERM,
	}, r.ping)
	return err
}

// ping succeeds once the server has loaded its data and serves commands. It speaks the protocol by
// itself, because the client library writes to standard error each time the server does not answer yet.
func (r *Redis) ping(ctx context.Context) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(r.port)))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && answer != "+PONG\r\n" {
		err = fmt.Errorf("it answers %q", answer)
	}
	return err
}

// Port is the port the server listens on.
func (r *Redis) Port() int { return r.port }

// URL is the server's address, database 0.
func (r *Redis) URL() string { return fmt.Sprintf("redis://127.0.0.1:%d/0", r.port) }

// TLSURL is the address for connections with TLS, if Options.TLS is set.
func (r *Redis) TLSURL() string { return fmt.Sprintf("rediss://127.0.0.1:%d/0", r.tlsPort) }
