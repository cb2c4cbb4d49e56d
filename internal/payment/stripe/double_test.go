package stripe

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Test payment methods of Stripe.
const (
	pmOK                = "pm_card_visa"
	pmDeclined          = "pm_card_visa_chargeDeclined"
	pmInsufficientFunds = "pm_card_visa_chargeDeclinedInsufficientFunds"
	pmActionRequired    = "pm_card_authenticationRequired"
)

// double answers like Stripe's API, with state, because Stripe's own mock server has none: PaymentIntents with manual
// capture, refunds, and idempotency keys as Stripe documents them. What it believes about Stripe is only as right as
// Stripe's documentation; TestMockAcceptsEveryRequest holds the requests against Stripe's own specification.
type double struct {
	mu       sync.Mutex
	intents  map[string]map[string]any
	created  []string // ids, the earliest first
	refunds  []map[string]any
	saved    map[string]answer // by idempotency key
	inFlight map[string]bool   // idempotency keys of requests that have begun
	requests []request

	searchIsBehind bool // the search finds nothing, as it may for an hour
	forgetful      bool // idempotency keys are forgotten at once, as they may be after a day
	loseAnswers    int  // the next answers to POST are lost after the effect
}

// answer is what the double has answered, and to which parameters.
type answer struct {
	params string
	status int
	body   map[string]any
}

// request is what the double has received.
type request struct {
	method, path string
	form         url.Values
	header       http.Header
}

func newDouble(t *testing.T) (*double, *httptest.Server) {
	t.Helper()
	d := &double{
		intents:  map[string]map[string]any{},
		saved:    map[string]answer{},
		inFlight: map[string]bool{},
	}
	served := httptest.NewServer(d)
	t.Cleanup(served.Close)
	return d, served
}

func (d *double) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		panic(err)
	}
	key := r.Header.Get("Idempotency-Key")
	params := r.URL.Path + "?" + r.Form.Encode()

	d.mu.Lock()
	d.requests = append(d.requests, request{r.Method, r.URL.Path, r.Form, r.Header.Clone()})
	before, known := d.saved[key]
	busy := d.inFlight[key]
	if r.Method == http.MethodPost && !known && !busy {
		d.inFlight[key] = true
	}
	d.mu.Unlock()

	switch {
	case r.Method != http.MethodPost:
	case busy:
		write(w, http.StatusConflict, failure("invalid_request_error", "idempotency_key_in_use", ""))
		return
	case known && before.params != params:
		write(w, http.StatusBadRequest, failure("idempotency_error", "", ""))
		return
	case known:
		w.Header().Set("Idempotent-Replayed", "true")
		write(w, before.status, before.body)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	status, body, valid := d.serve(r)
	body = clone(body)
	if r.Method == http.MethodPost {
		delete(d.inFlight, key)
		if valid && !d.forgetful { // Stripe saves no answer of a request that it has not begun to carry out
			d.saved[key] = answer{params, status, body}
		}
		if d.loseAnswers > 0 {
			d.loseAnswers--
			panic(http.ErrAbortHandler)
		}
	}
	write(w, status, body)
}

// clone copies an answer, so that it stays as it was while the object changes.
func clone(in map[string]any) map[string]any {
	raw, err := json.Marshal(in)
	if err != nil {
		panic(err)
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		panic(err)
	}
	return out
}

func write(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func failure(kind, code, param string) map[string]any {
	return map[string]any{"error": map[string]any{"type": kind, "code": code, "param": param, "message": "a test"}}
}

// refuse answers a request that is not possible, before it is carried out.
func refuse(code, param string) (int, map[string]any, bool) {
	return http.StatusBadRequest, failure("invalid_request_error", code, param), false
}

func (d *double) serve(r *http.Request) (status int, body map[string]any, valid bool) {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/v1/"), "/")
	switch {
	case r.URL.Path == "/v1/payment_intents" && r.Method == http.MethodPost:
		return d.create(r.Form)
	case r.URL.Path == "/v1/payment_intents/search":
		return http.StatusOK, d.search(r.Form.Get("query")), true
	case r.URL.Path == "/v1/payment_intents":
		return http.StatusOK, d.list(r.Form), true
	case r.URL.Path == "/v1/refunds" && r.Method == http.MethodPost:
		return d.refund(r.Form)
	case r.URL.Path == "/v1/refunds":
		return http.StatusOK, d.listRefunds(r.Form.Get("payment_intent")), true
	}
	intent, known := d.intents[parts[1]]
	switch {
	case !known:
		return http.StatusNotFound, failure("invalid_request_error", "resource_missing", "intent"), false
	case len(parts) == 2:
		return http.StatusOK, intent, true
	case parts[2] == "capture":
		return d.move(intent, "succeeded", "requires_capture")
	case parts[2] == "cancel":
		intent["cancellation_reason"] = r.Form.Get("cancellation_reason")
		return d.move(intent, "canceled", "requires_capture", "requires_action", "requires_payment_method")
	}
	return refuse("route_missing", "")
}

// move brings an intent into a state from one of others.
func (d *double) move(intent map[string]any, to string, from ...string) (int, map[string]any, bool) {
	if !slices.Contains(from, intent["status"].(string)) {
		return http.StatusBadRequest, failure("invalid_request_error", "payment_intent_unexpected_state", ""), true
	}
	intent["status"] = to
	delete(intent, "next_action")
	if to == "succeeded" {
		intent["amount_received"] = intent["amount"]
	}
	return http.StatusOK, intent, true
}

func (d *double) create(form url.Values) (int, map[string]any, bool) {
	units, err := strconv.ParseInt(form.Get("amount"), 10, 64)
	if err != nil || units < 50 {
		return refuse("amount_too_small", "amount")
	}
	currency := form.Get("currency")
	if slices.Contains([]string{"kwd"}, currency) && units%10 != 0 || currency == "isk" && units%100 != 0 {
		return refuse("invalid_charge_amount", "amount")
	}
	metadata := map[string]any{}
	for name := range form {
		if key, found := strings.CutPrefix(name, "metadata["); found {
			metadata[strings.TrimSuffix(key, "]")] = form.Get(name)
		}
	}
	id := fmt.Sprintf("pi_%d", len(d.created)+1)
	intent := map[string]any{
		"id": id, "object": "payment_intent", "amount": units, "currency": currency, "metadata": metadata,
		"created": time.Now().Unix(), "status": "requires_payment_method", "amount_received": 0,
		"client_secret": id + "_secret_x",
		"latest_charge": map[string]any{
			"id": "ch_" + id, "object": "charge", "amount_refunded": 0,
			"payment_method_details": map[string]any{
				"type": "card",
				"card": map[string]any{"capture_before": time.Now().Add(6 * 24 * time.Hour).Unix()},
			},
		},
	}
	if form.Get("confirm") != "true" {
		d.created, d.intents[id] = append(d.created, id), intent
		return http.StatusOK, intent, true
	}

	status, declined := http.StatusOK, map[string]any(nil)
	switch form.Get("payment_method") {
	case pmOK:
		intent["status"] = "requires_capture"
	case pmActionRequired:
		intent["status"] = "requires_action"
		intent["next_action"] = map[string]any{
			"type":            "redirect_to_url",
			"redirect_to_url": map[string]any{"url": "https://hooks.stripe.example/" + id, "return_url": form.Get("return_url")},
		}
	case pmDeclined:
		status, declined = http.StatusPaymentRequired, decline("card_declined", "generic_decline")
	case pmInsufficientFunds:
		status, declined = http.StatusPaymentRequired, decline("card_declined", "insufficient_funds")
	default:
		return refuse("resource_missing", "payment_method")
	}
	d.created, d.intents[id] = append(d.created, id), intent
	if declined == nil {
		return status, intent, true
	}
	intent["last_payment_error"] = maps.Clone(declined)
	declined["payment_intent"] = maps.Clone(intent)
	return status, map[string]any{"error": declined}, true
}

func decline(code, declineCode string) map[string]any {
	return map[string]any{"type": "card_error", "code": code, "decline_code": declineCode, "message": "a test"}
}

func (d *double) search(query string) map[string]any {
	data := []any{}
	for _, id := range d.created {
		key, _ := d.intents[id]["metadata"].(map[string]any)["payment_key"].(string)
		if !d.searchIsBehind && query == "metadata['payment_key']:'"+key+"'" {
			data = append(data, d.intents[id])
		}
	}
	return map[string]any{"object": "search_result", "data": data, "has_more": false, "url": "/v1/payment_intents/search"}
}

// list answers pages, the latest first.
func (d *double) list(form url.Values) map[string]any {
	ids := slices.Clone(d.created)
	slices.Reverse(ids)
	if after := form.Get("starting_after"); after != "" {
		ids = ids[slices.Index(ids, after)+1:]
	}
	const page = 7 // small, so that the tests turn pages
	data := []any{}
	for _, id := range ids[:min(page, len(ids))] {
		data = append(data, d.intents[id])
	}
	return map[string]any{"object": "list", "data": data, "has_more": len(ids) > page, "url": "/v1/payment_intents"}
}

func (d *double) refund(form url.Values) (int, map[string]any, bool) {
	intent := d.intents[form.Get("payment_intent")]
	charge := intent["latest_charge"].(map[string]any)
	units, err := strconv.ParseInt(form.Get("amount"), 10, 64)
	if err != nil {
		return refuse("parameter_invalid_integer", "amount")
	}
	given := int64(charge["amount_refunded"].(int))
	taken, _ := intent["amount_received"].(int64)
	if units > taken-given {
		return http.StatusBadRequest, failure("invalid_request_error", "amount_too_large", "amount"), true
	}
	charge["amount_refunded"] = int(given + units)
	refund := map[string]any{
		"id": fmt.Sprintf("re_%d", len(d.refunds)+1), "object": "refund", "amount": units, "currency": intent["currency"],
		"status": "succeeded", "payment_intent": intent["id"],
		"metadata": map[string]any{
			"payment_key": form.Get("metadata[payment_key]"), "refund_key": form.Get("metadata[refund_key]"),
		},
	}
	d.refunds = append(d.refunds, refund)
	return http.StatusOK, refund, true
}

// sendBack is what happens to a refund that the bank does not take: Stripe marks it as failed and has the money again.
func (d *double) sendBack(refundKey string) {
	d.set(func(d *double) {
		for _, r := range d.refunds {
			if r["metadata"].(map[string]any)["refund_key"] != refundKey {
				continue
			}
			charge := d.intents[r["payment_intent"].(string)]["latest_charge"].(map[string]any)
			charge["amount_refunded"] = charge["amount_refunded"].(int) - int(r["amount"].(int64))
			r["status"] = "failed"
		}
	})
}

func (d *double) listRefunds(intent string) map[string]any {
	data := []any{}
	for _, r := range d.refunds {
		if r["payment_intent"] == intent {
			data = append(data, r)
		}
	}
	return map[string]any{"object": "list", "data": data, "has_more": false, "url": "/v1/refunds"}
}

// complete does what a customer does at the action's address.
func (d *double) complete(id string, approve bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	intent := d.intents[id]
	if intent["status"] != "requires_action" {
		return
	}
	delete(intent, "next_action")
	intent["status"] = "requires_capture"
	if !approve {
		intent["status"] = "requires_payment_method"
		intent["last_payment_error"] = map[string]any{
			"type": "invalid_request_error", "code": "payment_intent_authentication_failure", "message": "a test",
		}
	}
}

// lapse lets Stripe free the money by itself.
func (d *double) lapse(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.intents[id]["status"] == "requires_capture" {
		d.intents[id]["status"], d.intents[id]["cancellation_reason"] = "canceled", "automatic"
	}
}

// set changes what the double does from now on.
func (d *double) set(change func(*double)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

// received returns the requests so far, by method and path.
func (d *double) received(t *testing.T, method, path string) []request {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []request
	for _, r := range d.requests {
		if r.method == method && r.path == path {
			out = append(out, r)
		}
	}
	require.NotEmpty(t, out, "%s %s", method, path)
	return out
}
