package inventory_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"holdfast/internal/auth/authtest"
	"holdfast/internal/database"
	"holdfast/inventory"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
)

// load runs callers that reserve one unit after another until the service refuses.
type load struct {
	answered atomic.Int64
	mu       sync.Mutex
	made     []uuid.UUID // reservations whose callers have the answer
	sent     []uuid.UUID // all requested reservations
	wrong    []error     // refusals, without those of a stopping service
	done     sync.WaitGroup
}

func startLoad(ctx context.Context, api inventoryapi.API, products []uuid.UUID, callers int) *load {
	l := &load{}
	for i := range callers {
		l.done.Go(func() {
			for n := i; ; n++ {
				in := inventorytest.NewReserve(inventorytest.Line(products[n%len(products)], 1))
				_, err := api.Reserve(ctx, in)
				l.mu.Lock()
				l.sent = append(l.sent, in.ReservationID)
				switch {
				case err == nil:
					l.made = append(l.made, in.ReservationID)
				case !errors.Is(err, inventoryapi.Unavailable):
					l.wrong = append(l.wrong, err)
				}
				l.mu.Unlock()
				if err != nil {
					return
				}
				l.answered.Add(1)
			}
		})
	}
	return l
}

// await returns once n more requests were answered.
func (l *load) await(t *testing.T, n int64) {
	t.Helper()
	until := l.answered.Load() + n
	require.Eventually(t, func() bool { return l.answered.Load() >= until }, inventorytest.Patience, time.Millisecond)
}

// requireKept waits for the callers and checks that the database has every answered reservation once: the primary key
// ensures one reservation, and the invariants ensure that its stock moved once. It returns the number of reservations
// whose callers got no answer.
func (l *load) requireKept(t *testing.T, pool *pgxpool.Pool) (untold int) {
	t.Helper()
	l.done.Wait()
	require.Empty(t, l.wrong)
	there := inventorytest.ExistingReservations(t, pool, l.made)
	require.Len(t, there, len(l.made), "answered reservations that exist")
	inventorytest.RequireConsistent(t, pool)
	return len(inventorytest.ExistingReservations(t, pool, l.sent)) - len(there)
}

// TestCloseUnderLoad: a service that is closed under load finishes the accepted requests and answers their callers. It
// refuses the others, and their requests change nothing.
func TestCloseUnderLoad(t *testing.T) {
	t.Parallel()
	url, pool := inventorytest.NewDatabase(t)
	service := inventorytest.NewReplica(t, url, inventory.Options{}, database.Pool{MaxConns: 10})
	s := inventorytest.NewSubject(t, service, pool)
	products := []uuid.UUID{s.Stock(t, 1_000_000), s.Stock(t, 1_000_000), s.Stock(t, 1_000_000)}

	l := startLoad(context.WithoutCancel(t.Context()), service, products, 50)
	l.await(t, 300)
	service.Close()
	require.Zero(t, service.Waiting())
	require.Zero(t, l.requireKept(t, pool))
}

// TestProcessEndsUnderLoad ends the real process under load. On SIGTERM it answers every accepted request. If it is
// killed, some callers get no answer, but no answered reservation is lost, and the next process finds and releases the
// unanswered ones.
func TestProcessEndsUnderLoad(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "holdfast")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../cmd/holdfast").CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, c := range []struct {
		name   string
		signal syscall.Signal
	}{
		{"in order", syscall.SIGTERM},
		{"killed", syscall.SIGKILL},
	} {
		t.Run(c.name, func(t *testing.T) {
			url, pool := inventorytest.NewDatabase(t)
			p := startBinary(t, binary, url)
			s := inventorytest.NewSubject(t, inventorytest.NewClient(t, p.base), pool)
			products := []uuid.UUID{s.Stock(t, 1_000_000), s.Stock(t, 1_000_000), s.Stock(t, 1_000_000)}

			l := startLoad(context.WithoutCancel(t.Context()), s.API, products, 50)
			l.await(t, 300)
			require.NoError(t, p.cmd.Process.Signal(c.signal))
			err := p.wait()

			unanswered := l.requireKept(t, pool)
			if c.signal == syscall.SIGTERM {
				require.NoError(t, err, "the process did not stop in order")
				require.Zero(t, unanswered, "reservations that were made and whose callers got no answer")
				return
			}
			require.Error(t, err)
			l.requireReleasable(t, s, inventorytest.NewClient(t, startBinary(t, binary, url).base))
		})
	}
}

// requireReleasable releases all reservations through api, answered or not, and checks that no stock stays reserved.
func (l *load) requireReleasable(t *testing.T, s inventorytest.Subject, api inventoryapi.API) {
	t.Helper()
	for id := range inventorytest.ExistingReservations(t, s.Pool, l.sent) {
		r, err := api.GetReservation(t.Context(), id)
		require.NoError(t, err)
		release := inventoryapi.ReleaseRequest{OperationID: uuid.New(), Actor: inventorytest.Actor}
		_, err = api.Release(t.Context(), id, release)
		require.NoError(t, err)
		require.Len(t, r.Lines, 1)
	}
	var reserved int64
	require.NoError(t, s.Pool.QueryRow(t.Context(), "SELECT sum(reserved) FROM items").Scan(&reserved))
	require.Zero(t, reserved)
	inventorytest.RequireConsistent(t, s.Pool)
}

// binaryProcess is the real binary, serving the inventory.
type binaryProcess struct {
	cmd  *exec.Cmd
	base string
	wait func() error // waits for the end of the process; each call returns the same error
}

func startBinary(t *testing.T, binary, databaseURL string) binaryProcess {
	t.Helper()
	cmd := exec.Command(binary, "inventory")
	cmd.Env = []string{
		"INVENTORY_DATABASE_URL=" + databaseURL,
		"INVENTORY_LISTEN=127.0.0.1:0",
		"SERVICE_API_KEYS=" + inventorytest.ServiceKey,
		"INTERNAL_TOKEN_SECRETS=" + authtest.Internal.Secrets[0],
	}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())

	listening := make(chan string, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		lines := bufio.NewReader(stdout)
		for {
			line, err := lines.ReadBytes('\n')
			var l struct{ Msg, Address string }
			if json.Unmarshal(line, &l) == nil && l.Msg == "listening" {
				listening <- l.Address
			}
			if err != nil {
				_, _ = io.Copy(io.Discard, stdout)
				return
			}
		}
	}()

	p := binaryProcess{cmd: cmd, wait: sync.OnceValue(func() error {
		<-read
		return cmd.Wait()
	})}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // unless it has ended already
		_ = p.wait()
	})

	select {
	case address := <-listening:
		p.base = "http://" + address
	case <-read:
		require.Fail(t, "the process ended at its start")
	case <-time.After(inventorytest.Patience):
		require.Fail(t, "the process does not listen")
	}
	return p
}
