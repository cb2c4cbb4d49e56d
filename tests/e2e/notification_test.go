package e2e

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/tests/broker"
	"holdfast/tests/localservice"
	"holdfast/tests/platform"
	"holdfast/tests/testenv"
)

// TestCustomersAreTold: a paid order and an expired one each lead to one mail, in the customer's language, through a
// mail server that asks for STARTTLS and a login. An operator sees both through the gateway and sends one again.
func TestCustomersAreTold(t *testing.T) {
	t.Parallel()
	queues := broker.Start(t)
	server := testenv.MailServer(t, 0, localservice.SMTPOptions{TLS: true, Username: "shop", Password: "a-password"})
	p := platform.Start(t)
	p.Configure(
		"NOTIFY_CHANNEL", "smtp", "NOTIFY_POLL", "50ms",
		"SMTP_HOST", server.Host(), "SMTP_PORT", strconv.Itoa(server.Port()), "SMTP_CA_FILE", server.CAFile(),
		"SMTP_USERNAME", "shop", "SMTP_PASSWORD", "a-password", "SMTP_FROM", "Shop <orders@shop.example>",
	)
	p.StartEvents(queues.URL())
	p.Process("gateway").Stop()
	p.Configure("EVENTS_URL", "http://"+p.Process("events").Address())
	p.Start("gateway")

	product := p.Product(5)
	paid := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1,
		"email", "alice@example.org", "metadata", map[string]string{"locale": "de-CH"})).Str("order_id")
	require.Equal(t, http.StatusOK, p.Pay("alice", paid, "pm_ok").Status)
	p.Place("bob", http.StatusCreated, platform.OneLine(product, 1, "email", "bob@example.org", "ttl_seconds", 1))
	p.Place("carol", http.StatusCreated, platform.OneLine(product, 1, "ttl_seconds", 1))

	subjects := func() map[string]string {
		mails, err := server.Messages()
		require.NoError(t, err)
		out := map[string]string{}
		for _, m := range mails {
			out[m.Header.Get("To")] += m.Header.Get("Subject") + m.Header.Get("Content-Language")
		}
		return out
	}
	require.Eventually(t, func() bool { return len(subjects()) == 2 }, 30*time.Second, 50*time.Millisecond)
	require.Contains(t, subjects()["<alice@example.org>"], "de")
	require.Contains(t, subjects()["<bob@example.org>"], "has expireden")

	var list platform.Answer
	require.Eventually(t, func() bool {
		list = p.Do(platform.Operator, http.MethodGet, "/admin/notifications?order_id="+paid, nil)
		return list.Status == http.StatusOK && len(list.Body["items"].([]any)) == 1 &&
			list.Body["items"].([]any)[0].(map[string]any)["status"] == "sent"
	}, 30*time.Second, 50*time.Millisecond)
	id := list.Body["items"].([]any)[0].(map[string]any)["notification_id"].(string)
	again := p.Do(platform.Operator, http.MethodPost, "/admin/notifications/"+id+"/send", nil)
	require.Equal(t, http.StatusAccepted, again.Status, again.Raw)
	require.Equal(t, http.StatusForbidden, p.Do("alice", http.MethodGet, "/admin/notifications", nil).Status)
	require.Eventually(t, func() bool {
		mails, err := server.Messages()
		require.NoError(t, err)
		return len(mails) == 3
	}, 30*time.Second, 50*time.Millisecond)
	require.Contains(t, p.Do(platform.Operator, http.MethodGet, "/admin/notifications?status=skipped", nil).Raw,
		"the order has no email address")
}
