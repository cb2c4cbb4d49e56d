package testenv

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/tests/localservice"
)

// MailServer starts a mail server for this test alone, on the given port or on a free one (0). It stops when the test
// ends, if the test has not stopped it.
func MailServer(t testing.TB, port int, o localservice.SMTPOptions) *localservice.SMTP {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a server, and the tests are run with -short")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), startTimeout)
	defer cancel()
	require.NoError(t, Install(ctx, localservice.SMTPPackage))
	dir, err := shared.directory("smtp-" + rand.Text()[:8])
	require.NoError(t, err)
	server, err := localservice.StartSMTP(ctx, localservice.Options{Dir: dir, Port: port, Volatile: true}, o)
	require.NoError(t, err)
	t.Cleanup(func() {
		stop, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(t, server.Stop(stop))
	})
	return server
}

// Install installs one package that only some tests need, unless it is there.
func Install(ctx context.Context, p localservice.Package) error {
	shared.installing.Lock()
	defer shared.installing.Unlock()
	if len(localservice.Missing(p)) == 0 {
		return nil
	}
	return localservice.Install(ctx, func(message string) { shared.say("%s", message) }, p)
}
