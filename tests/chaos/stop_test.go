package chaos

import (
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"holdfast/tests/platform"
)

// cleanStop is how long a process may take to stop while it has work under way.
const cleanStop = 15 * time.Second

// TestStoppedInTheMiddle stops every process by SIGTERM or Ctrl-C while orders are placed, paid,
// cancelled and expire, and while inventory and the payment provider hang. Each exits with status 0
// within 15 s, and no order is lost.
func TestStoppedInTheMiddle(t *testing.T) {
	t.Parallel()
	p := platform.StartWithFaults(t)
	product := p.Product(500)
	deadline := time.Now().Add(4 * time.Minute)
	runs := make([]orderRun, 60)
	var clients errgroup.Group
	clients.SetLimit(8)
	stopping := make(chan struct{})
	var stopper sync.WaitGroup
	stopper.Go(func() {
		defer close(stopping)
		for i, name := range []string{"worker", "api", "inventory", "gateway", "payment-sandbox", "worker"} {
			hung := i%2 == 0
			if hung {
				p.Faults.Inventory.Hang()
				p.Faults.Provider.Hang()
			}
			pause(t.Context(), time.Second)
			signal := os.Signal(syscall.SIGTERM)
			if hung {
				signal = os.Interrupt
			}
			took := p.Process(name).StopBy(signal)
			t.Logf("%s stopped by %s in %s (inventory and provider hang: %t)",
				name, signal, took.Round(time.Millisecond), hung)
			if took > cleanStop {
				t.Errorf("%s took %s to stop", name, took)
			}
			p.Faults.Inventory.Up()
			p.Faults.Provider.Up()
			p.Start(name)
		}
	})
	for i := range runs {
		runs[i].scenario = scenarios[i%len(scenarios)]
		clients.Go(func() error { return runs[i].run(p, deadline, product) })
	}
	require.NoError(t, clients.Wait())
	stopper.Wait()
	<-stopping

	total := 0
	for _, n := range p.Audit() {
		total += n
	}
	require.Equal(t, len(runs), total)
}
