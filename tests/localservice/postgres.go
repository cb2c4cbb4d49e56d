package localservice

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// PostgresUser is the superuser of a private PostgreSQL. It needs no password: the server listens on
// 127.0.0.1 only and holds nothing but development data.
const PostgresUser = "holdfast"

// Postgres is a private PostgreSQL server.
type Postgres struct {
	*instance
	port int
}

// StartPostgres starts PostgreSQL in o.Dir and returns once it answers. If there is no cluster yet, it
// initialises one first. ctx bounds the start, not the life of the server.
func StartPostgres(ctx context.Context, o Options) (*Postgres, error) {
	o, err := o.checked()
	if err != nil {
		return nil, err
	}
	owner, err := identityFor("postgres", "nobody")
	if err != nil {
		return nil, err
	}
	i, err := prepare(ctx, "PostgreSQL", o, owner,
		processKind{"initdb", syscall.SIGTERM}, // first: its children carry the server's name
		processKind{"postgres", syscall.SIGINT},
	)
	if err != nil {
		return nil, err
	}
	p := &Postgres{instance: i}
	if err := p.start(ctx, o); err != nil {
		return nil, i.abandon(err)
	}
	return p, nil
}

func (p *Postgres) start(ctx context.Context, o Options) error {
	data := filepath.Join(p.dir, "data")
	version, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read the cluster's version: %w", err)
	}
	binary, err := findPostgres(strings.TrimSpace(string(version)))
	if err != nil {
		return err
	}
	if version == nil {
		if err := p.initialise(ctx, filepath.Join(filepath.Dir(binary), "initdb"), data); err != nil {
			return err
		}
	}
	if p.port, err = p.takePort(o.Port, p.title); err != nil {
		return err
	}

	settings := []string{
		"listen_addresses=127.0.0.1",
		"unix_socket_directories=", // a socket's path is limited to 107 bytes, the path of a clone is not
		"max_connections=300",      // five processes, Temporal, and tests beside them
		"log_line_prefix=%m [%p] %d ",
	}
	if o.Volatile {
		settings = append(settings, "fsync=off", "synchronous_commit=off", "full_page_writes=off")
	}
	if o.TLS != nil {
		files, err := p.writeTLS(*o.TLS)
		if err != nil {
			return err
		}
		settings = append(settings, "ssl=on", "ssl_cert_file="+files.certificate, "ssl_key_file="+files.key)
	}
	settings = append(settings, o.Settings...)
	args := []string{"-D", data, "-p", strconv.Itoa(p.port)}
	for _, s := range settings {
		args = append(args, "-c", s)
	}

	return p.run(ctx, program{
		name:  "postgres",
		path:  binary,
		args:  args,
		dir:   p.dir,
		owner: p.owner,
		log:   filepath.Join(p.dir, "postgres.log"),
		stop:  syscall.SIGINT, // fast shutdown: sessions are ended, data is flushed
	}, func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, p.URL("postgres"))
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	})
}

// initialise makes a new cluster. It makes the cluster in another directory and moves it into place when it
// is complete, so that an interrupted start does not disturb the next one.
func (p *Postgres) initialise(ctx context.Context, initdb, data string) error {
	unfinished := data + ".new"
	if err := os.RemoveAll(unfinished); err != nil {
		return fmt.Errorf("clear an unfinished cluster: %w", err)
	}
	cmd := exec.CommandContext(ctx, initdb,
		"--pgdata", unfinished,
		"--username", PostgresUser,
		"--auth", "trust",
		"--encoding", "UTF8",
		"--locale", "C.UTF-8",
		"--no-sync")
	cmd.Dir, cmd.Env = p.dir, []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "HOME=" + p.dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: p.owner.credential()}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // with its child processes
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initialise a PostgreSQL cluster: %w:\n%s", err, out)
	}
	if err := os.Rename(unfinished, data); err != nil {
		return fmt.Errorf("move the new cluster into place: %w", err)
	}
	return nil
}

// Port is the port the server listens on.
func (p *Postgres) Port() int { return p.port }

// URL is the address of the given database, with the superuser.
func (p *Postgres) URL(database string) string {
	return fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s?sslmode=disable", PostgresUser, p.port, database)
}

// CreateDatabase makes a database if there is none of that name yet. A second call, or one of two calls at the
// same time, changes nothing.
func (p *Postgres) CreateDatabase(ctx context.Context, name string) error {
	return CreateDatabase(ctx, p.URL("postgres"), name)
}

// CreateDatabase is Postgres.CreateDatabase for any server, by the URL of one of its databases.
func CreateDatabase(ctx context.Context, server, name string) error {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return fmt.Errorf("connect to create database %s: %w", name, err)
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
	var pgErr *pgconn.PgError
	// 42P04: the database exists. 23505: another caller has made it at the same time.
	exists := errors.As(err, &pgErr) &&
		(pgErr.Code == pgerrcode.DuplicateDatabase || pgErr.Code == pgerrcode.UniqueViolation)
	if exists {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}
