package stripe

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	stripego "github.com/stripe/stripe-go/v85"

	"holdfast/internal/payment"
)

const (
	// searchLag is how far Stripe's search may be behind, by its documentation, during an outage. A list is never behind.
	searchLag = time.Hour
	// maxListed bounds how many recent payments find looks through.
	maxListed = 10_000
	pageSize  = 100
)

// ref returns Stripe's id of the payment: from memory if this process has seen it, else from Stripe.
func (p *Provider) ref(ctx context.Context, key string) (string, error) {
	if ref, known := p.refs.get(key); known {
		return ref, nil
	}
	intent, err := p.find(ctx, key)
	if err != nil {
		return "", err
	}
	return intent.ID, nil
}

// find returns the payment with a key as it is now. It searches all payments and then lists the recent ones, which the
// search may not have yet. ErrUnknown: Stripe has received no payment with the key.
func (p *Provider) find(ctx context.Context, key string) (*stripego.PaymentIntent, error) {
	if !validKey.MatchString(key) {
		return nil, payment.ErrUnknown
	}
	ref, known := p.refs.get(key)
	if !known {
		found, err := p.search(ctx, key)
		if err == nil && found == "" {
			found, err = p.list(ctx, key)
		}
		switch {
		case err != nil:
			return nil, err
		case found == "":
			return nil, payment.ErrUnknown
		}
		ref = found
		p.refs.add(key, ref)
	}

	params := &stripego.PaymentIntentRetrieveParams{}
	params.AddExpand(expandCharge)
	intent, err := p.api.V1PaymentIntents.Retrieve(ctx, ref, params)
	if err != nil {
		return nil, unknown("look a payment up", err)
	}
	return intent, nil
}

// errTwice says that one key has two payments: a caller has repeated an authorisation after Stripe forgot its key. No
// call decides between them.
var errTwice = errors.New("stripe has two payments with one key; an operator must void or refund one")

func (p *Provider) search(ctx context.Context, key string) (ref string, err error) {
	params := &stripego.PaymentIntentSearchParams{SearchParams: stripego.SearchParams{
		Query: fmt.Sprintf("metadata['%s']:'%s'", metaKey, key),
		Limit: stripego.Int64(pageSize),
	}}
	for intent, err := range p.api.V1PaymentIntents.Search(ctx, params).All(ctx) {
		if err != nil {
			return "", unknown("search a payment", err)
		}
		if intent.Metadata[metaKey] != key || intent.ID == ref {
			continue
		}
		if ref != "" {
			return "", errTwice
		}
		ref = intent.ID
	}
	return ref, nil
}

func (p *Provider) list(ctx context.Context, key string) (ref string, err error) {
	params := &stripego.PaymentIntentListParams{
		ListParams:   stripego.ListParams{Limit: stripego.Int64(pageSize)},
		CreatedRange: &stripego.RangeQueryParams{GreaterThanOrEqual: time.Now().Add(-searchLag).Unix()},
	}
	listed := 0
	for intent, err := range p.api.V1PaymentIntents.List(ctx, params).All(ctx) {
		if err != nil {
			return "", unknown("list payments", err)
		}
		if intent.Metadata[metaKey] == key {
			return intent.ID, nil
		}
		if listed++; listed >= maxListed {
			return "", fmt.Errorf("a payment is not among the %d latest and not in Stripe's search yet; ask again", maxListed)
		}
	}
	return "", nil
}

// maxRefs bounds how many ids each generation of refs keeps.
const maxRefs = 10_000

// refs are Stripe's ids of the payments that this process has seen lately. It only saves requests: what it has
// forgotten, find asks Stripe for.
type refs struct {
	mu              sync.Mutex
	recent, earlier map[string]string
}

func (r *refs) add(key, ref string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.recent) >= maxRefs || r.recent == nil {
		r.recent, r.earlier = map[string]string{}, r.recent
	}
	r.recent[key] = ref
}

func (r *refs) get(key string) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ref, known := r.recent[key]
	if !known {
		ref, known = r.earlier[key]
	}
	return ref, known
}
