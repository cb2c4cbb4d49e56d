package notification_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/address"
	"holdfast/internal/eventcatalogue"
	"holdfast/internal/events"
	"holdfast/internal/money"
	"holdfast/internal/notification"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/workflows/orderflow"
)

func newRenderer(t *testing.T, fallback string) *notification.Renderer {
	t.Helper()
	cfg := settings
	cfg.Language = fallback
	r, err := notification.NewRenderer(cfg)
	require.NoError(t, err)
	return r
}

func sample(locale string) orderstore.Order {
	return orderstore.Order{
		OrderID:  uuid.MustParse("3a3bd0c1-5b0f-5c7a-9c0e-0d5a2f6f1b11"),
		Number:   "HF-104233",
		Total:    money.Amount{Minor: 123946, Currency: "EUR"},
		Shipping: money.Amount{Minor: 490, Currency: "EUR"},
		Email:    "zoe@example.org",
		Metadata: map[string]string{"locale": locale},
		ShipTo:   &address.Address{Name: "Zoë <b>"},
		Lines: []orderstore.Line{{
			Name: "Mug & saucer", Quantity: 3, Total: money.Amount{Minor: 123456, Currency: "EUR"},
		}},
	}
}

// TestEveryKindHasItsTexts: each kind has a subject, a text and HTML of its own in each language.
func TestEveryKindHasItsTexts(t *testing.T) {
	t.Parallel()
	r, subjects := newRenderer(t, "en"), map[string]bool{}
	for locale, words := range map[string][]string{
		"en": {
			"Hello Zoë <b>,", "3 × Mug & saucer: €1,234.56", "Shipping: €4.90", "Total: €1,239.46", "Kind regards",
		},
		"de": {
			"Guten Tag Zoë <b>,", "3 × Mug & saucer: 1.234,56", "Versand: 4,90", "Summe: 1.239,46", "Mit freundlichen Grüßen",
		},
	} {
		for _, kind := range notification.Kinds() {
			m, err := r.Render(notification.Notification{Kind: string(kind)}, sample(locale))
			require.NoError(t, err)
			require.Equal(t, locale, m.Language)
			require.Contains(t, m.Subject, "HF-104233")
			require.False(t, subjects[m.Subject], "two kinds have the subject %q", m.Subject)
			subjects[m.Subject] = true
			for _, w := range append(words, "HF-104233", "Tea & Co") {
				require.Contains(t, m.Text, w)
			}
			require.Contains(t, m.HTML, "Zoë &lt;b&gt;")
			require.Contains(t, m.HTML, "Mug &amp; saucer")
			require.NotContains(t, m.Text+m.HTML+m.Subject, "<no value>")
		}
	}
}

// TestPromisedDay: a message about an order that is on its way names the day on which everything arrives, and no other
// message does.
func TestPromisedDay(t *testing.T) {
	t.Parallel()
	r := newRenderer(t, "en")
	for locale, words := range map[string]string{
		"en": "Expected by: 2 December 2026", "de": "Voraussichtlich bei Ihnen bis: 02.12.2026",
	} {
		o := sample(locale)
		on := func(day int, status orderflow.ShipmentStatus) orderstore.Shipment {
			return orderstore.Shipment{
				Shipment:   orderflow.Shipment{Status: status},
				PromisedOn: time.Date(2026, 12, day, 0, 0, 0, 0, time.UTC),
			}
		}
		o.Shipments = []orderstore.Shipment{
			on(1, orderflow.ShipmentShipped), on(2, orderflow.ShipmentPlanned), on(3, orderflow.ShipmentCancelled),
		}
		for state, named := range map[order.State]bool{
			order.Confirmed: true, order.Fulfilling: true, order.Completed: false,
		} {
			o.State = state
			m, err := r.Render(notification.Notification{Kind: string(notification.Shipped)}, o)
			require.NoError(t, err)
			require.Equal(t, named, strings.Contains(m.Text, words), m.Text)
			require.Equal(t, named, strings.Contains(m.HTML, words), m.HTML)
		}
	}
}

// TestRefundNamesTheAmount: the amount is that of the event, in the language's way, and may be unknown.
func TestRefundNamesTheAmount(t *testing.T) {
	t.Parallel()
	r := newRenderer(t, "en")
	for _, c := range []struct{ locale, currency, want string }{
		{"en", "JPY", "We have refunded ¥500."},
		{"de", "EUR", "Wir haben 5,00"},
		{"de", "KWD", "Wir haben 0,500"},
	} {
		m, err := r.Render(notification.Notification{
			Kind: string(notification.Refunded), AmountMinor: 500, Currency: c.currency,
		}, sample(c.locale))
		require.NoError(t, err)
		require.Contains(t, m.Text, c.want)
	}
	m, err := r.Render(notification.Notification{Kind: string(notification.Refunded)}, sample("en"))
	require.NoError(t, err)
	require.Contains(t, m.Text, "We have refunded your payment.")
}

// TestLanguage: the order's metadata names the language; what has no texts gets the default.
func TestLanguage(t *testing.T) {
	t.Parallel()
	r := newRenderer(t, "de")
	for locale, want := range map[string]string{
		"en": "en", "en-GB": "en", "de-AT": "de", "DE": "de", "": "de", "fr": "de", "no language": "de", "und": "de",
	} {
		m, err := r.Render(notification.Notification{Kind: string(notification.Expired)}, sample(locale))
		require.NoError(t, err)
		require.Equal(t, want, m.Language, locale)
	}
}

// TestEveryEventIsDecided: customers are told of an event of orders, or this list says that they are not. A new event
// fails the test until it has texts or is in the list.
func TestEveryEventIsDecided(t *testing.T) {
	t.Parallel()
	silent := []string{
		events.TypeOrderCreated, // the answer to the request says it
		events.TypeOrderReserved,
		events.TypeOrderPaid,         // order.confirmed follows
		events.TypeOrderLinesChanged, // the answer to the request says it
	}
	told := notification.Types()
	require.Len(t, told, len(notification.Kinds()))
	for _, e := range eventcatalogue.All() {
		if e.Service != "orders" {
			require.NotContains(t, told, e.Name)
			continue
		}
		require.NotEqual(t, slices.Contains(told, e.Name), slices.Contains(silent, e.Name), e.Name)
	}
}
