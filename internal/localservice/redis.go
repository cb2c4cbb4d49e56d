package localservice

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// Redis is a private Redis server.
type Redis struct {
	*instance
	port int
}

// StartRedis starts Redis in o.Dir and returns once it answers. What is written is appended to a file
// (flushed every second), unless the instance is volatile. ctx bounds the start, not the life of the
// server.
func StartRedis(ctx context.Context, o Options) (*Redis, error) {
	o, err := o.checked()
	if err != nil {
		return nil, err
	}
	owner, err := identityFor("redis", "nobody")
	if err != nil {
		return nil, err
	}
	i, err := prepare(ctx, "Redis", o, owner, species{"redis-server", syscall.SIGTERM})
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
	err = r.run(ctx, program{
		name: "redis-server", path: binary, dir: r.dir, owner: r.owner,
		args: []string{
			"--port", strconv.Itoa(r.port), "--bind", "127.0.0.1", "--dir", r.dir,
			"--appendonly", appendOnly, "--save", "", "--daemonize", "no", "--logfile", "",
		},
		log:  filepath.Join(r.dir, "redis.log"),
		stop: syscall.SIGTERM,
	}, r.ping)
	return err
}

// ping succeeds once the server has loaded its data and serves commands.
func (r *Redis) ping(ctx context.Context) error {
	client := redis.NewClient(&redis.Options{
		Addr: fmt.Sprintf("127.0.0.1:%d", r.port), MaxRetries: -1, PoolSize: 1,
		DisableIdentity: true, ContextTimeoutEnabled: true,
	})
	defer func() { _ = client.Close() }()
	return client.Ping(ctx).Err()
}

// Port is the port the server listens on.
func (r *Redis) Port() int { return r.port }

// URL is the server's address, database 0.
func (r *Redis) URL() string { return fmt.Sprintf("redis://127.0.0.1:%d/0", r.port) }
