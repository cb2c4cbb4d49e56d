package e2e

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"holdfast/tests/platform"
)

// TestRestoredBackup is the drill of docs/guides/backup.md, with its scripts: a platform is backed up, loses its
// databases, gets them back, and its books agree. An order that was open goes on.
func TestRestoredBackup(t *testing.T) {
	t.Parallel()
	p := platform.Start(t)
	product := p.Product(20)
	placed := func() string {
		return p.Place("alice", 201, platform.OneLine(product, 2, "ttl_seconds", 3600)).Str("order_id")
	}
	open, paid, cancelled := placed(), placed(), placed()
	require.Equal(t, 200, p.Pay("alice", paid, "pm_ok").Status)
	require.Equal(t, 200, p.Act("alice", cancelled, "cancel", map[string]any{}).Status)
	for _, id := range []string{paid, cancelled} {
		p.AwaitIdle(uuid.MustParse(id))
	}

	d := newDrill(t, p)
	require.Contains(t, d.run("backup.sh"), "bytes")
	listed, err := d.try("restore.sh")
	require.Error(t, err)
	stamp := regexp.MustCompile(`\d{8}T\d{6}Z`).FindString(listed)
	require.NotEmpty(t, stamp, listed)

	// A set of dumps that is not whole is refused.
	orders := filepath.Join(d.folder, d.databases[0]+"-"+stamp+".dump")
	require.NoError(t, os.Rename(orders, orders+".lost"))
	out, err := d.try("restore.sh", stamp)
	require.Error(t, err)
	require.Contains(t, out, "nothing was changed")
	require.NoError(t, os.Rename(orders+".lost", orders))

	names := []string{"gateway", "api", "worker", "inventory", "payment-sandbox"}
	for _, name := range names {
		p.Process(name).Stop()
	}

	// If the last rename fails, no database is renamed, and every one takes connections. Then the same restore succeeds.
	last := d.databases[len(d.databases)-1]
	d.exec("CREATE DATABASE " + pgx.Identifier{last + "_before_" + stamp}.Sanitize())
	out, err = d.try("restore.sh", stamp)
	require.Error(t, err)
	require.Contains(t, out, last+"_before_"+stamp+" exists")
	d.exec("DROP DATABASE " + pgx.Identifier{last + "_before_" + stamp}.Sanitize())
	unlock := d.lockName(last)
	out, err = d.try("restore.sh", stamp)
	require.Error(t, err)
	require.Contains(t, out, "the present databases are unchanged")
	unlock()
	for _, name := range d.databases {
		require.Equal(t, 1, d.count("SELECT count(*) FROM pg_database WHERE datname = $1 AND datallowconn", name), name)
		require.Zero(t, d.count("SELECT count(*) FROM pg_database WHERE datname = $1", name+"_before_"+stamp), name)
	}

	d.lose()
	out = d.run("restore.sh", stamp)
	require.Equal(t, len(d.databases), strings.Count(out, "is restored from "+stamp), out)
	for i := len(names) - 1; i >= 0; i-- {
		p.Start(names[i])
	}

	result, status := runAudit(p, "--settle", "2s")
	require.Empty(t, result.Violations)
	require.Zero(t, status, "the audit agrees")
	require.Equal(t, 3, result.Orders)
	available, reserved, _ := p.Available(product)
	require.Equal(t, []int64{16, 2}, []int64{available, reserved})
	require.Equal(t, 200, p.Pay("alice", open, "pm_ok").Status)
	p.Await("alice", open, "confirmed", 10*time.Second)
}

// drill runs the scripts of deploy/docker on the databases of a platform.
type drill struct {
	t         *testing.T
	folder    string
	databases []string
	admin     string // the address of the server's own database
	env       []string
}

func newDrill(t *testing.T, p *platform.Platform) *drill {
	d := &drill{t: t, folder: t.TempDir()}
	for _, variable := range []string{"ORDERS_DATABASE_URL", "INVENTORY_DATABASE_URL", "SANDBOX_DATABASE_URL"} {
		at, err := url.Parse(p.Variable(variable))
		require.NoError(t, err)
		d.databases = append(d.databases, strings.TrimPrefix(at.Path, "/"))
		password, _ := at.User.Password()
		d.env = append(os.Environ(), "PGHOST="+at.Hostname(), "PGPORT="+at.Port(), "PGUSER="+at.User.Username(),
			"PGPASSWORD="+password, "PGOPTIONS=-c lock_timeout=2s", "BACKUP_FOLDER="+d.folder, "BACKUP_KEEP_DAYS=14",
			"BACKUP_DATABASES="+strings.Join(d.databases, " "))
		at.Path = "/postgres"
		d.admin = at.String()
	}
	return d
}

func (d *drill) try(script string, args ...string) (string, error) {
	cmd := exec.CommandContext(d.t.Context(), "sh", append([]string{"../../deploy/docker/" + script}, args...)...)
	cmd.Env = d.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (d *drill) run(script string, args ...string) string {
	d.t.Helper()
	out, err := d.try(script, args...)
	require.NoError(d.t, err, out)
	return out
}

// lose deletes one database, and every table of another.
func (d *drill) lose() {
	d.exec("DROP DATABASE " + pgx.Identifier{d.databases[0]}.Sanitize() + " WITH (FORCE)")
	at, err := url.Parse(d.admin)
	require.NoError(d.t, err)
	at.Path = "/" + d.databases[1]
	conn, err := pgx.Connect(d.t.Context(), at.String())
	require.NoError(d.t, err)
	_, err = conn.Exec(d.t.Context(), "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
	require.NoError(d.t, err)
	require.NoError(d.t, conn.Close(d.t.Context()))

	stamped := regexp.MustCompile(`-(\d{8}T\d{6}Z)\.dump$`)
	d.t.Cleanup(func() {
		files, err := filepath.Glob(filepath.Join(d.folder, "*.dump"))
		require.NoError(d.t, err)
		for _, file := range files {
			name := stamped.ReplaceAllString(filepath.Base(file), "_before_$1")
			d.exec("DROP DATABASE IF EXISTS " + pgx.Identifier{name}.Sanitize() + " WITH (FORCE)")
		}
	})
}

// lockName makes the server refuse to rename a database until the returned function is called.
func (d *drill) lockName(database string) (unlock func()) {
	d.t.Helper()
	conn, err := pgx.Connect(d.t.Context(), d.admin)
	require.NoError(d.t, err)
	_, err = conn.Exec(d.t.Context(), "BEGIN; COMMENT ON DATABASE "+pgx.Identifier{database}.Sanitize()+" IS 'locked'")
	require.NoError(d.t, err)
	return func() { require.NoError(d.t, conn.Close(d.t.Context())) }
}

func (d *drill) count(sql string, args ...any) (n int) {
	d.t.Helper()
	conn, err := pgx.Connect(d.t.Context(), d.admin)
	require.NoError(d.t, err)
	require.NoError(d.t, conn.QueryRow(d.t.Context(), sql, args...).Scan(&n), sql)
	require.NoError(d.t, conn.Close(d.t.Context()))
	return n
}

func (d *drill) exec(sql string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.t.Context()), 30*time.Second) // also in a cleanup
	defer cancel()
	conn, err := pgx.Connect(ctx, d.admin)
	require.NoError(d.t, err)
	defer conn.Close(ctx) //nolint:errcheck // the statement's error counts
	_, err = conn.Exec(ctx, sql)
	require.NoError(d.t, err, sql)
}
