package stock

import (
	"github.com/google/uuid"
)

// Request is one operation with an answer of type T: Reserve, Confirm, Release, Expire, Extend, Return, Receive, Adjust,
// Count, Transfer, SetThreshold, SetSellable, CreateItem, DeleteItem or Introduce, or one of these with a name (Named).
type Request[T any] interface {
	// Kind is the operation's name in metrics and logs.
	Kind() string
	// Reads adds what must be read to decide the request.
	Reads(*Reads)
	// decide answers the request. It changes the book only when it returns no error.
	decide(*Book) (T, error)
}

// Decide answers one request. An error is a refusal and leaves the book as it was, so that the next request can be
// decided; only ErrStale concerns the whole book.
func Decide[T any](b *Book, r Request[T]) (T, error) { return r.decide(b) }

// Reads is what must be read under lock to decide a batch of requests.
type Reads struct {
	Products     []uuid.UUID // all items of these
	Reservations []uuid.UUID // these, their lines, the items of those, and how they were resolved
	Owners       []Owner     // reservations that hold one of these keys under whatever id
	Reserves     []uuid.UUID // reservations to make; where one exists already, its lines and its first answer
	Operations   []uuid.UUID // ledger entries of these
	Named        []uuid.UUID // remembered operations with these names
	Ensure       []Place     // items to create, empty, where missing; with the facts of their products
	Facts        []uuid.UUID // facts of these products as a whole
}

// Add adds what other needs to have read.
func (r *Reads) Add(other *Reads) {
	r.Products = append(r.Products, other.Products...)
	r.Reservations = append(r.Reservations, other.Reservations...)
	r.Owners = append(r.Owners, other.Owners...)
	r.Reserves = append(r.Reserves, other.Reserves...)
	r.Operations = append(r.Operations, other.Operations...)
	r.Named = append(r.Named, other.Named...)
	r.Ensure = append(r.Ensure, other.Ensure...)
	r.Facts = append(r.Facts, other.Facts...)
}

// Place is a product at a location.
type Place struct {
	ProductID uuid.UUID
	Location  string
}
