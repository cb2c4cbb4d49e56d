// Package inventoryclient calls the inventory service over HTTP. It is the client of the contract in inventoryapi.
package inventoryclient

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"holdfast/internal/correlation"
	"holdfast/internal/servicetoken"
	"holdfast/inventory/inventoryapi"
)

// The time limits of a client that New returns, each of one call with its answer. The deadline of the caller's context
// applies too.
const (
	ReadTimeout   = 5 * time.Second
	WriteTimeout  = 10 * time.Second
	HealthTimeout = 3 * time.Second
)

// maxAnswer bounds the bytes that the client reads of an answer. The report of an import is the largest answer.
const maxAnswer = 16 << 20

// Client calls the inventory service over HTTP. It is safe for concurrent use.
type Client struct {
	rest   *restClient
	base   string
	http   *http.Client
	idle   func() // closes the idle connections
	reads  policy
	writes policy
}

var _ inventoryapi.API = (*Client)(nil)

// idleConnections is the number of connections to the service that stay open for the next calls. With the standard
// library's default of two, a busy worker would dial for almost every call.
const idleConnections = 64

// optionalHeaders are the headers that a write may have in addition to its body.
var optionalHeaders = []string{"X-Actor", "Idempotency-Key", "If-Match"}

// New returns a client of the service at baseURL that authenticates with tokens of signer. Each token names the actor
// of the call. If httpClient is nil, the client gets a connection pool of its own. Each call sets its own time limit.
// The client does not retry; NewGuarded returns one that does.
func New(baseURL string, signer *servicetoken.Signer, httpClient *http.Client) *Client {
	if httpClient == nil {
		httpClient = newHTTPClient()
	}

	identify := func(ctx context.Context, req *http.Request) error {
		for _, name := range optionalHeaders { // the generated code sends an empty header if the caller gives no value
			if req.Header.Get(name) == "" {
				req.Header.Del(name)
			}
		}
		actor, _ := ctx.Value(actorKey{}).(string)
		token, err := signer.Sign(servicetoken.Inventory, servicetoken.Caller{Subject: actor})
		if err != nil {
			return err
		}
		req.Header.Set(servicetoken.Header, token)
		if id := correlation.From(ctx); id != "" {
			req.Header.Set(correlation.Header, id)
		}
		return nil
	}

	base := strings.TrimSuffix(baseURL, "/") + "/"
	rest := &restClient{Server: base, Client: httpClient, RequestEditors: []RequestEditorFn{identify}}
	return &Client{
		rest:   rest,
		base:   base,
		http:   httpClient,
		idle:   httpClient.CloseIdleConnections,
		reads:  policy{timeout: ReadTimeout, attempts: 1},
		writes: policy{timeout: WriteTimeout, attempts: 1},
	}
}

func newHTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: idleConnections,
		IdleConnTimeout:     90 * time.Second,
		DialContext:         (&net.Dialer{Timeout: HealthTimeout}).DialContext,
	}}
}

type actorKey struct{}

// actingFor names the actor of the call that ctx is for. The service accepts no other actor in its request.
func actingFor(ctx context.Context, actor string) context.Context {
	return context.WithValue(ctx, actorKey{}, actor)
}

// Reserve implements API.
func (c *Client) Reserve(ctx context.Context, in inventoryapi.ReserveRequest) (inventoryapi.Reservation, error) {
	ctx = actingFor(ctx, in.Actor)
	do := func(ctx context.Context) (*http.Response, error) { return c.rest.Reserve(ctx, in) }
	out, err := call[inventoryapi.Reservation](ctx, c.writes, in.ReservationID, do)
	return out, aboutReplaced(err, in.Replaces)
}

// aboutReplaced puts the id of the replaced reservation into the errors of a reserve that concern that one. The answer
// does not repeat an id, and of the new reservation a reserve answers only AlreadyResolved.
func aboutReplaced(err error, replaced uuid.UUID) error {
	var status *inventoryapi.StatusError
	var deadline *inventoryapi.DeadlineError
	switch {
	case errors.As(err, &status) && status.Code == inventoryapi.ReservationNotPending:
		status.ReservationID = replaced
	case errors.As(err, &deadline):
		deadline.ReservationID = replaced
	}
	return err
}

// Confirm implements API.
func (c *Client) Confirm(
	ctx context.Context, id uuid.UUID, in inventoryapi.ResolveRequest,
) (inventoryapi.ConfirmResult, error) {
	ctx = actingFor(ctx, in.Actor)
	do := func(ctx context.Context) (*http.Response, error) { return c.rest.Confirm(ctx, id, in) }
	return call[inventoryapi.ConfirmResult](ctx, c.writes, id, do)
}

// Release implements API.
func (c *Client) Release(
	ctx context.Context, id uuid.UUID, in inventoryapi.ReleaseRequest,
) (inventoryapi.ReleaseResult, error) {
	ctx = actingFor(ctx, in.Actor)
	do := func(ctx context.Context) (*http.Response, error) { return c.rest.Release(ctx, id, in) }
	return call[inventoryapi.ReleaseResult](ctx, c.writes, id, do)
}

// Expire implements API.
func (c *Client) Expire(
	ctx context.Context, id uuid.UUID, in inventoryapi.ResolveRequest,
) (inventoryapi.ReleaseResult, error) {
	ctx = actingFor(ctx, in.Actor)
	do := func(ctx context.Context) (*http.Response, error) { return c.rest.Expire(ctx, id, in) }
	return call[inventoryapi.ReleaseResult](ctx, c.writes, id, do)
}

// Extend implements API.
func (c *Client) Extend(
	ctx context.Context, id uuid.UUID, in inventoryapi.ExtendRequest,
) (inventoryapi.ExtendResult, error) {
	ctx = actingFor(ctx, in.Actor)
	do := func(ctx context.Context) (*http.Response, error) { return c.rest.Extend(ctx, id, in) }
	return call[inventoryapi.ExtendResult](ctx, c.writes, id, do)
}

// Return implements API.
func (c *Client) Return(
	ctx context.Context, id uuid.UUID, in inventoryapi.ReturnRequest,
) (inventoryapi.ReturnResult, error) {
	ctx = actingFor(ctx, in.Actor)
	do := func(ctx context.Context) (*http.Response, error) { return c.rest.Return(ctx, id, in) }
	return call[inventoryapi.ReturnResult](ctx, c.writes, id, do)
}

// GetReservation implements API.
func (c *Client) GetReservation(ctx context.Context, id uuid.UUID) (inventoryapi.Reservation, error) {
	do := func(ctx context.Context) (*http.Response, error) { return c.rest.GetReservation(ctx, id) }
	return call[inventoryapi.Reservation](ctx, c.reads, id, do)
}

// Availability implements API.
func (c *Client) Availability(
	ctx context.Context, productID uuid.UUID, quantity int64,
) (inventoryapi.Availability, error) {
	params := &inventoryapi.GetAvailabilityParams{Quantity: &quantity}
	do := func(ctx context.Context) (*http.Response, error) {
		return c.rest.GetAvailability(ctx, productID, params)
	}
	return call[inventoryapi.Availability](ctx, c.reads, uuid.Nil, do)
}

// Availabilities implements API.
func (c *Client) Availabilities(ctx context.Context, productIDs []uuid.UUID) ([]inventoryapi.Availability, error) {
	if productIDs == nil {
		// The service refuses an empty list. Without the parameter it would return every product.
		productIDs = []uuid.UUID{}
	}
	params := &inventoryapi.ListAvailabilityParams{ProductIds: productIDs}
	do := func(ctx context.Context) (*http.Response, error) { return c.rest.ListAvailability(ctx, params) }
	list, err := call[inventoryapi.AvailabilityList](ctx, c.reads, uuid.Nil, do)
	return list.Items, err
}

// Close closes the idle connections.
func (c *Client) Close() { c.idle() }

// Ping reports whether the service is ready, its database included. It neither retries nor heeds a circuit breaker. Of
// several instances it asks the next one.
func (c *Client) Ping(ctx context.Context) error {
	do := func(ctx context.Context) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"ready", nil)
		if err != nil {
			return nil, err
		}
		return c.http.Do(req)
	}
	_, err := call[json.RawMessage](ctx, policy{timeout: HealthTimeout, attempts: 1}, uuid.Nil, do)
	return err
}
