package stack

import (
	"net/http"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/payloadcodec"
	"holdfast/internal/seed"
	"holdfast/workflows/orderflow"
)

// TestWebUIReadsEncryptedOrders: with keys for payloads, the Web UI shows what an order is only to an operator who has
// signed in at the codec server.
func TestWebUIReadsEncryptedOrders(t *testing.T) {
	dir := stackDir(t)
	t.Setenv("TEMPORAL_PAYLOAD_KEYS", payloadcodec.NewKey())
	b := openBrowser(t)
	s, err := startOn(t.Context(), dir, &progress{}, freePorts(t))
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Stop()) }()

	var placed orderapi.Order
	s.call(t, auth.Customer, http.MethodPost, "/api/orders", orderapi.CreateOrder{
		Lines: []orderapi.CreateOrderLine{{ProductID: seed.ProductID("BAG-GRA"), Quantity: 2}},
	}, &placed)
	page := s.temporalUI + "/namespaces/" + orderflow.Namespace + "/workflows/" +
		orderflow.OrderWorkflowID(placed.OrderID)
	metadata := func(texts ...string) {
		b.run(chromedp.Navigate(page), chromedp.Click(`//a[normalize-space()="User Metadata"]`, chromedp.BySearch))
		b.sees(texts...)
	}
	summary := placed.Number + ": 2 × BAG-GRA, "

	metadata("User Metadata")
	b.keep("encrypted")
	var text string
	b.run(chromedp.Evaluate(shownText, &text))
	require.NotContains(t, text, summary)

	token, err := s.Token("olga", auth.Operator)
	require.NoError(t, err)
	b.run(chromedp.Navigate(s.codecURL()), chromedp.SendKeys("#token", token), chromedp.Submit("#token"),
		chromedp.WaitVisible(`form[action="/sign-out"]`))
	b.sees("You are signed in as olga")
	b.keep("codec-signed-in")
	metadata(summary, "Deadline", "POST …/cancel")
	b.keep("decrypted")
}
