package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/seed"
	"holdfast/tests/localservice"
	"holdfast/workflows/orderflow"
)

// screenshots is a directory into which the test writes what it saw; empty: nowhere.
var screenshots = os.Getenv("HOLDFAST_SCREENSHOTS")

// browser is a page of a browser without a window.
type browser struct {
	t   *testing.T
	ctx context.Context
}

// openBrowser opens Chromium, which it installs if it can. CI runs as root and can; a user who may not install
// packages skips the test.
func openBrowser(t *testing.T) browser {
	t.Helper()
	err := localservice.Install(t.Context(), func(message string) { t.Log(message) }, localservice.ChromiumPackage)
	if err != nil {
		t.Skip(err)
	}
	program, err := exec.LookPath(localservice.ChromiumPackage.Binary)
	require.NoError(t, err)
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.WindowSize(1600, 1000))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	require.NoError(t, chromedp.Run(ctx), "the browser starts")
	return browser{t, ctx}
}

// run carries actions out within half a minute. If they fail, the test says what the page showed.
func (b browser) run(actions ...chromedp.Action) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		var text string
		_ = chromedp.Run(b.ctx, chromedp.Evaluate(shownText, &text))
		require.NoError(b.t, err, "the page shows:\n%s", text)
	}
}

// shownText is what the page shows, also in the frames in which the Web UI renders markdown.
const shownText = `[document, ...Array.from(document.querySelectorAll("iframe"), f => f.contentDocument)]
	.map(d => d?.body?.innerText ?? "").join("\n")`

// sees waits until the page shows a text.
func (b browser) sees(texts ...string) {
	b.t.Helper()
	for _, text := range texts {
		quoted, err := json.Marshal(text)
		require.NoError(b.t, err)
		var shown bool
		b.run(chromedp.Poll(shownText+".includes("+string(quoted)+")", &shown))
	}
}

// keep writes a picture of the page.
func (b browser) keep(name string) {
	if screenshots == "" {
		return
	}
	var picture []byte
	b.run(chromedp.Sleep(time.Second), chromedp.FullScreenshot(&picture, 90))
	require.NoError(b.t, os.WriteFile(filepath.Join(screenshots, name+".jpg"), picture, 0o644))
}

// call sends a request to the gateway and returns the answer, which must have a status of 2xx.
func (s *Stack) call(t *testing.T, role auth.Role, method, path string, body, out any) {
	t.Helper()
	token, err := s.Token("alice", role)
	require.NoError(t, err)
	raw, err := json.Marshal(body)
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), method, s.gatewayURL()+path, bytes.NewReader(raw))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { require.NoError(t, res.Body.Close()) }()
	require.Less(t, res.StatusCode, 300, "%s %s", method, path)
	require.NoError(t, json.NewDecoder(res.Body).Decode(out))
}

// TestWebUIShowsOrders: an operator finds a placed order in the Web UI by customer and status, with the columns of the
// guide, and reads on its page what it is and what may be done next.
func TestWebUIShowsOrders(t *testing.T) {
	dir := stackDir(t)
	b := openBrowser(t)
	s, err := startOn(t.Context(), dir, &progress{}, freePorts(t))
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Stop()) }()

	place := func(method string, lines ...orderapi.CreateOrderLine) (placed orderapi.Order) {
		s.call(t, auth.Customer, http.MethodPost, "/api/orders",
			orderapi.CreateOrder{Lines: lines, PaymentMethod: method}, &placed)
		return placed
	}
	bags := orderapi.CreateOrderLine{ProductID: seed.ProductID("BAG-GRA"), Quantity: 2}
	mugs := orderapi.CreateOrderLine{ProductID: seed.ProductID("BAG-FOR"), Quantity: 1}
	reserved, paid := place("", bags, mugs), place("pm_ok", bags)
	var held orderapi.Reservation
	s.call(t, auth.Customer, http.MethodPost, "/api/inventory/reserve", map[string]any{
		"order_id": uuid.New(), "product_id": bags.ProductID, "quantity": 3,
	}, &held)

	columns, err := json.Marshal(map[string]any{orderflow.Namespace: labels(orderflow.ListColumns())})
	require.NoError(t, err)
	set := fmt.Sprintf("localStorage.setItem('namespace-workflow-table-columns', %q)", columns)
	b.run(chromedp.Navigate(s.temporalUI+"/healthz"), chromedp.Evaluate(set, nil))

	list := orderflow.ListView{Query: "CustomerId = 'alice' AND OrderStatus = 'reserved'"}
	b.run(chromedp.Navigate(list.URL(s.temporalUI, orderflow.Namespace)))
	b.sees(reserved.Number, "reserved", "BAG-GRA", "alice")
	var text string
	b.run(chromedp.Text("body", &text, chromedp.ByQuery))
	require.NotContains(t, text, paid.Number, "the filter holds")
	b.keep("list-by-customer-and-status")

	for _, v := range orderflow.ListViews(time.Now(), "alice") {
		b.run(chromedp.Navigate(v.URL(s.temporalUI, orderflow.Namespace)))
		b.sees("Workflows")
		b.keep("view-" + strings.ReplaceAll(v.Name, " ", "-"))
	}

	open := func(workflowID, tab string, texts ...string) {
		b.run(chromedp.Navigate(s.temporalUI+"/namespaces/"+orderflow.Namespace+"/workflows/"+workflowID),
			chromedp.Click(`//a[normalize-space()="`+tab+`"]`, chromedp.BySearch))
		b.sees(texts...)
	}
	order := orderflow.OrderWorkflowID(reserved.OrderID)
	open(order, "User Metadata",
		reserved.Number+": 2 × BAG-GRA and 1 more, 240.20 EUR, alice", "Deadline", "POST …/cancel")
	b.keep("order-reserved")
	open(order, "Timeline", "the reservation expires at "+orderflow.Time(reserved.ExpiresAt))
	b.keep("order-timeline")
	open(orderflow.OrderWorkflowID(paid.OrderID), "User Metadata",
		paid.Number, "confirmed", "captured payment", "Shipment 1")
	b.keep("order-paid")
	open(orderflow.ReservationWorkflowID(held.ReservationID), "User Metadata",
		"Reservation: 3 × BAG-GRA, alice", "pending")
	b.keep("reservation")
}

func labels(columns []string) (out []map[string]string) {
	for _, c := range columns {
		out = append(out, map[string]string{"label": c})
	}
	return out
}
