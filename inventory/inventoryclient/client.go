// Package inventoryclient calls the inventory service over HTTP. It is the client of the contract in inventoryapi.
package inventoryclient

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"holdfast/internal/correlation"
	"holdfast/internal/problem"
	"holdfast/internal/servicekey"
	"holdfast/inventory/inventoryapi"
)

// How long one call may take, answer included. A caller with less time left gets less.
const (
	ReadTimeout   = 5 * time.Second
	WriteTimeout  = 10 * time.Second
	HealthTimeout = 3 * time.Second
)

// maxAnswer bounds what is read of an answer, in bytes; an import's report is the largest.
const maxAnswer = 16 << 20

// Client calls the inventory service over HTTP. It does not retry: the caller knows for how long the
// business allows it. It is safe for concurrent use.
type Client struct {
	rest *restClient
	base string
	http *http.Client
}

var _ inventoryapi.API = (*Client)(nil)

// idleConnections is how many connections to the service are kept open for the next calls; the
// standard library's two would make a busy worker dial for almost every call.
const idleConnections = 64

// optionalHeaders are what a write may carry beside its body.
var optionalHeaders = []string{"X-Actor", "Idempotency-Key", "If-Match"}

// New returns a client of the service at baseURL that authenticates with serviceKey. A nil
// httpClient means one with a connection pool of its own; time-outs are set per call.
func New(baseURL, serviceKey string, httpClient *http.Client) *Client {
	if httpClient == nil {
		pool := &http.Transport{
			MaxIdleConnsPerHost: idleConnections, IdleConnTimeout: 90 * time.Second,
			DialContext: (&net.Dialer{Timeout: HealthTimeout}).DialContext,
		}
		httpClient = &http.Client{Transport: pool}
	}
	identify := func(ctx context.Context, req *http.Request) error {
		for _, name := range optionalHeaders { // the generated code sends them empty where a caller gives none
			if req.Header.Get(name) == "" {
				req.Header.Del(name)
			}
		}
		req.Header.Set(servicekey.Header, serviceKey)
		if id := correlation.From(ctx); id != "" {
			req.Header.Set(correlation.Header, id)
		}
		return nil
	}
	base := strings.TrimSuffix(baseURL, "/") + "/"
	rest := &restClient{Server: base, Client: httpClient, RequestEditors: []RequestEditorFn{identify}}
	return &Client{rest: rest, base: base, http: httpClient}
}

// Reserve implements API.
func (c *Client) Reserve(ctx context.Context, in inventoryapi.ReserveRequest) (inventoryapi.Reservation, error) {
	return call[inventoryapi.Reservation](ctx, WriteTimeout, in.ReservationID, func(ctx context.Context) (*http.Response, error) {
		return c.rest.Reserve(ctx, in)
	})
}

// Confirm implements API.
func (c *Client) Confirm(ctx context.Context, id uuid.UUID, in inventoryapi.ResolveRequest) (inventoryapi.ConfirmResult, error) {
	return call[inventoryapi.ConfirmResult](ctx, WriteTimeout, id, func(ctx context.Context) (*http.Response, error) {
		return c.rest.Confirm(ctx, id, in)
	})
}

// Release implements API.
func (c *Client) Release(ctx context.Context, id uuid.UUID, in inventoryapi.ReleaseRequest) (inventoryapi.ReleaseResult, error) {
	return call[inventoryapi.ReleaseResult](ctx, WriteTimeout, id, func(ctx context.Context) (*http.Response, error) {
		return c.rest.Release(ctx, id, in)
	})
}

// Expire implements API.
func (c *Client) Expire(ctx context.Context, id uuid.UUID, in inventoryapi.ResolveRequest) (inventoryapi.ReleaseResult, error) {
	return call[inventoryapi.ReleaseResult](ctx, WriteTimeout, id, func(ctx context.Context) (*http.Response, error) {
		return c.rest.Expire(ctx, id, in)
	})
}

// Extend implements API.
func (c *Client) Extend(ctx context.Context, id uuid.UUID, in inventoryapi.ExtendRequest) (inventoryapi.ExtendResult, error) {
	return call[inventoryapi.ExtendResult](ctx, WriteTimeout, id, func(ctx context.Context) (*http.Response, error) {
		return c.rest.Extend(ctx, id, in)
	})
}

// Return implements API.
func (c *Client) Return(ctx context.Context, id uuid.UUID, in inventoryapi.ReturnRequest) (inventoryapi.ReturnResult, error) {
	return call[inventoryapi.ReturnResult](ctx, WriteTimeout, id, func(ctx context.Context) (*http.Response, error) {
		return c.rest.Return(ctx, id, in)
	})
}

// GetReservation implements API.
func (c *Client) GetReservation(ctx context.Context, id uuid.UUID) (inventoryapi.Reservation, error) {
	return call[inventoryapi.Reservation](ctx, ReadTimeout, id, func(ctx context.Context) (*http.Response, error) {
		return c.rest.GetReservation(ctx, id)
	})
}

// Availability implements API.
func (c *Client) Availability(ctx context.Context, productID uuid.UUID, quantity int64) (inventoryapi.Availability, error) {
	return call[inventoryapi.Availability](ctx, ReadTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.GetAvailability(ctx, productID, &inventoryapi.GetAvailabilityParams{Quantity: &quantity})
	})
}

// Availabilities implements API.
func (c *Client) Availabilities(ctx context.Context, productIDs []uuid.UUID) ([]inventoryapi.Availability, error) {
	if productIDs == nil {
		productIDs = []uuid.UUID{} // sent as an empty list, which is refused; none at all would mean every product
	}
	list, err := call[inventoryapi.AvailabilityList](ctx, ReadTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.ListAvailability(ctx, &inventoryapi.ListAvailabilityParams{ProductIds: productIDs})
	})
	return list.Items, err
}

// Close closes the connections that are kept open for the next calls.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Ping reports whether the service is ready, its database included.
func (c *Client) Ping(ctx context.Context) error {
	_, err := call[json.RawMessage](ctx, HealthTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"ready", nil)
		if err != nil {
			return nil, err
		}
		return c.http.Do(req)
	})
	return err
}

// call does one exchange within its time-out. Whatever is not an answer of the contract is an
// UnavailableError: the caller cannot know whether the operation happened, and may send it again.
func call[T any](ctx context.Context, timeout time.Duration, reservationID uuid.UUID, do func(context.Context) (*http.Response, error)) (T, error) {
	var out T
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	res, err := do(ctx)
	if err != nil {
		return out, &inventoryapi.UnavailableError{Cause: err}
	}
	defer func() {
		// Drained, so that the connection can be used again; a failure costs only that.
		_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer))
		_ = res.Body.Close()
	}()
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusCreated {
		return out, inventoryapi.FromProblem(problem.Read(res), reservationID)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&out); err != nil {
		return out, &inventoryapi.UnavailableError{Cause: fmt.Errorf("read the answer: %w", err)}
	}
	return out, nil
}
