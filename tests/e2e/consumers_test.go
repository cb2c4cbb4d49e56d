package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"holdfast/internal/events"
	"holdfast/tests/asyncapi"
	"holdfast/tests/broker"
	"holdfast/tests/localservice"
	"holdfast/tests/platform"
	"holdfast/tests/testenv"
)

// program is an example that runs as a process of its own.
type program struct {
	t       *testing.T
	name    string
	args    []string
	env     []string
	cmd     *exec.Cmd
	output  sync.WaitGroup
	waiting chan struct{} // closed when it has said that it waits for events
}

// newProgram returns a program that ends with the test.
func newProgram(t *testing.T, name string, args, env []string) *program {
	t.Helper()
	p := &program{t: t, name: name, args: args, env: env}
	t.Cleanup(func() {
		if p.cmd != nil && p.cmd.ProcessState == nil {
			_ = p.end(syscall.SIGKILL)
		}
	})
	return p
}

// start runs the program and returns once it consumes.
func (p *program) start() {
	p.t.Helper()
	p.cmd = exec.Command(p.args[0], p.args[1:]...)
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, p.env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := p.cmd.StdoutPipe()
	require.NoError(p.t, err)
	p.cmd.Stderr = p.cmd.Stdout
	p.waiting = make(chan struct{})
	require.NoError(p.t, p.cmd.Start())
	p.output.Go(func() {
		said := false
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.t.Logf("%s: %s", p.name, lines.Text())
			if !said && strings.Contains(lines.Text(), "waiting for events") {
				said = true
				close(p.waiting)
			}
		}
	})
	select {
	case <-p.waiting:
	case <-time.After(30 * time.Second):
		require.Fail(p.t, "the example does not consume", p.name)
	}
}

// end ends the program by a signal.
func (p *program) end(signal syscall.Signal) error {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(signal))
	p.output.Wait()
	return p.cmd.Wait()
}

// TestConsumersOfTheDocument points three consumers that know only the AsyncAPI document at the events of a whole run
// of orders: both published examples, and one that validates every message. The examples and the process that
// publishes are killed meanwhile. Each consumer sees every order exactly once in effect, in its order, and nothing
// invalid.
func TestConsumersOfTheDocument(t *testing.T) {
	t.Parallel()
	server := broker.Start(t)
	p := platform.Start(t)
	_, stderr, err := p.Run([]string{"events", "--declare-only"}, "AMQP_URL", server.URL())
	require.NoError(t, err, stderr)

	document, err := asyncapi.Load("../../docs/events/asyncapi.yaml")
	require.NoError(t, err)
	heldBack, err := asyncapi.Start(t.Context(), document, server.URL())
	require.NoError(t, err)
	t.Cleanup(heldBack.Stop)
	accounting, books := goExample(t, server.URL())
	mails, mailbox := pythonExample(t, server.URL())
	examples := []*program{accounting}
	if mails != nil {
		examples = append(examples, mails)
	}
	for _, e := range examples {
		e.start()
	}
	p.StartEvents(server.URL())

	var chaos sync.WaitGroup
	chaos.Go(func() {
		for range 3 {
			for _, e := range examples {
				_ = e.end(syscall.SIGKILL) // as a crash
				e.start()
			}
			p.Process("events").Kill()
			p.Start("events")
		}
	})
	wholeRun(p)
	chaos.Wait()
	p.Audit()

	requireHeldBack(t, p, heldBack)
	requireBooks(t, p, books)
	t.Run("python", func(t *testing.T) {
		if mails == nil {
			t.Skip("the example in Python needs its library: apt-get install -y python3-pika")
		}
		requireMails(t, p, mailbox)
	})
	for _, e := range examples {
		require.NoError(t, e.end(syscall.SIGTERM), "%s ends in order", e.name)
	}
}

// wholeRun places orders that end in each way.
func wholeRun(p *platform.Platform) {
	p.T.Helper()
	product, short := p.Product(100), p.Product(1)
	place := func(more ...any) string {
		return p.Place("alice", http.StatusCreated, platform.OneLine(product, 1, more...)).Str("order_id")
	}
	end := map[string]string{}
	for range 4 {
		paid := place()
		require.Equal(p.T, http.StatusOK, p.Pay("alice", paid, "pm_ok").Status)
		end[paid] = "confirmed"

		cancelled := place()
		answer := p.Act("alice", cancelled, "cancel", map[string]any{"reason": "changed my mind"})
		require.Equal(p.T, http.StatusOK, answer.Status, answer.Raw)
		end[cancelled] = "cancelled"

		end[place("ttl_seconds", 2)] = "expired"

		failed := place()
		for range 3 {
			_ = p.Pay("alice", failed, "pm_declined")
		}
		end[failed] = "failed"
	}
	_ = p.Place("alice", http.StatusConflict, platform.OneLine(short, 2))
	for id, status := range end {
		p.Await("alice", id, status, 30*time.Second)
	}
}

// goExample builds the example in Go, and returns it with its database.
func goExample(t *testing.T, brokerURL string) (*program, *pgxpool.Pool) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "accounting")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".")
	build.Dir = "../../examples/consumer-go"
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)

	url := testenv.Database(t)
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	env := []string{"AMQP_URL=" + brokerURL, "DATABASE_URL=" + url}
	return newProgram(t, "accounting", []string{binary}, env), pool
}

// pythonExample returns the example in Python with a function that queries its database, or nil on a machine without
// its library.
func pythonExample(t *testing.T, brokerURL string) (*program, func(query string) [][]any) {
	t.Helper()
	if err := testenv.Install(t.Context(), localservice.PikaPackage); err != nil {
		t.Logf("the example in Python cannot run: %v", err)
		return nil, nil
	}
	python := ""
	for _, candidate := range []string{"python3", "/usr/bin/python3"} {
		if exec.CommandContext(t.Context(), candidate, "-c", "import pika, sqlite3").Run() == nil {
			python = candidate
			break
		}
	}
	if python == "" {
		return nil, nil
	}
	file := filepath.Join(t.TempDir(), "mails.db")
	const dump = `import json, sqlite3, sys
print(json.dumps(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchall()))`
	query := func(sql string) (rows [][]any) {
		out, err := exec.CommandContext(t.Context(), python, "-c", dump, file, sql).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.NoError(t, json.Unmarshal(out, &rows))
		return rows
	}
	env := []string{"AMQP_URL=" + brokerURL, "DATABASE=" + file}
	return newProgram(t, "mails", []string{python, "../../examples/consumer-python/consumer.py"}, env), query
}

// states returns the state of each order in the orders database.
func states(p *platform.Platform) map[string]string {
	p.T.Helper()
	rows, err := p.Orders.Query(p.T.Context(), `SELECT order_id, state FROM orders`)
	require.NoError(p.T, err)
	out := map[string]string{}
	var id uuid.UUID
	var state string
	_, err = pgx.ForEachRow(rows, []any{&id, &state}, func() error {
		out[id.String()] = state
		return nil
	})
	require.NoError(p.T, err)
	return out
}

const consumed = time.Minute

// orderEvents counts the events of orders, by type if one is given.
func orderEvents(p *platform.Platform, eventType string) int {
	p.T.Helper()
	if eventType == "" {
		eventType = "order.%"
	}
	return p.Count(`SELECT count(*) FROM outbox WHERE event_type LIKE $1`, eventType)
}

func requireHeldBack(t *testing.T, p *platform.Platform, c *asyncapi.Consumer) {
	t.Helper()
	var stock int
	require.NoError(t, p.Stock.QueryRow(t.Context(), `SELECT count(*) FROM outbox`).Scan(&stock))
	want := orderEvents(p, "") + stock
	var report asyncapi.Report
	require.Eventually(t, func() bool {
		report = c.Report()
		return len(report.Events) >= want || len(report.Invalid) > 0
	}, consumed, 50*time.Millisecond, "%d events", want)
	require.Empty(t, report.Invalid)
	require.Len(t, report.Events, want)
	require.Empty(t, report.Late, "in order per order")
	t.Logf("%d events, %d duplicates", want, report.Duplicates)

	created, last := map[string]int{}, map[string]string{}
	for _, e := range report.Events {
		if !strings.HasPrefix(e.EventType, "order.") {
			continue
		}
		if e.EventType == "order.created" {
			created[e.AggregateID]++
		}
		var data struct{ State string }
		require.NoError(t, json.Unmarshal(e.Data, &data))
		last[e.AggregateID] = data.State
	}
	require.Equal(t, states(p), last)
	for id, n := range created {
		require.Equal(t, 1, n, id)
	}
	require.Len(t, created, len(last))
}

func requireBooks(t *testing.T, p *platform.Platform, books *pgxpool.Pool) {
	t.Helper()
	want, n := orderEvents(p, ""), 0
	require.Eventually(t, func() bool {
		err := books.QueryRow(t.Context(), `SELECT count(*) FROM inbox`).Scan(&n)
		return err == nil && n == want
	}, consumed, 50*time.Millisecond, "%d events", want)

	rows, err := books.Query(t.Context(), `SELECT order_id::text, state FROM orders`)
	require.NoError(t, err)
	got := map[string]string{}
	var id, state string
	_, err = pgx.ForEachRow(rows, []any{&id, &state}, func() error {
		got[id] = state
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, states(p), got)

	var revenue int
	err = books.QueryRow(t.Context(), `SELECT amount_minor FROM revenue WHERE currency = 'EUR'`).Scan(&revenue)
	require.NoError(t, err)
	require.EqualValues(t, 4*platform.Price.Minor, revenue)
}

func requireMails(t *testing.T, p *platform.Platform, query func(string) [][]any) {
	t.Helper()
	want := orderEvents(p, "")
	require.Eventually(t, func() bool {
		return fmt.Sprint(query(`SELECT count(*) FROM inbox`)[0][0]) == fmt.Sprint(want)
	}, consumed, 200*time.Millisecond, "%d events", want)

	got := map[string]string{}
	for _, row := range query(`SELECT order_id, state FROM orders`) {
		got[row[0].(string)] = row[1].(string)
	}
	require.Equal(t, states(p), got)
	for kind, eventType := range map[string]string{
		"receipt": events.TypeOrderPaid, "expiry": events.TypeOrderExpired, "cancellation": events.TypeOrderCancelled,
	} {
		mails := query(`SELECT count(*), count(DISTINCT order_id) FROM mails WHERE kind = '` + kind + `'`)[0]
		n := fmt.Sprint(orderEvents(p, eventType))
		require.Equal(t, []string{n, n}, []string{fmt.Sprint(mails[0]), fmt.Sprint(mails[1])}, kind)
	}
}
