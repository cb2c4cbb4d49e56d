package platform

import (
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/internal/auth"
	"holdfast/internal/temporalclient"
	"holdfast/inventory"
)

// Running says where a platform is that this process did not start.
type Running struct {
	Gateway                    string // as in http://127.0.0.1:3000
	Orders, Inventory, Sandbox string // the addresses of the databases
	Temporal                   temporalclient.Config
	// Token makes a token of the platform's own secret.
	Token func(subject string, role auth.Role) string
}

// Attach returns a platform that runs already, for its clients and for Audit. It has no processes that a test may stop,
// and neither Inventory nor Provider.
func Attach(t *testing.T, at Running) *Platform {
	t.Helper()
	p := &Platform{
		T:         t,
		Gateway:   at.Gateway,
		temporal:  at.Temporal,
		token:     at.Token,
		env:       map[string]string{"SANDBOX_DATABASE_URL": at.Sandbox},
		processes: map[string]*Process{},
	}
	p.Orders, p.Stock = pool(t, at.Orders), pool(t, at.Inventory)
	p.service = inventory.New(inventory.Options{Pool: p.Stock})
	t.Cleanup(p.service.Close)
	require.NotNil(t, at.Token)
	return p
}
