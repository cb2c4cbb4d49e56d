package stock

import (
	"github.com/google/uuid"
)

// Request is one operation with an answer of type T: Reserve, Confirm, Release, Expire, Extend, Return, Receive,
// Adjust, Count, Transfer, SetThreshold, SetSellable, CreateItem, DeleteItem, Introduce, PlaceBackorder,
// CancelBackorder, ExpireBackorder, ExtendBackorder, GrantWaiting, AddIncoming, ChangeIncoming, ReceiveIncoming or
// CancelIncoming, or one of these with a name (Named).
type Request[T any] interface {
	// Kind is the operation's name in metrics and logs.
	Kind() string
	// Reads adds the keys of the rows that must be read to decide the request.
	Reads(*Reads)
	// TellsVersion reports whether the answer contains its product's version, which the caller may send with its next
	// write. A batch moves the version once, so no later request of the same batch may change the product: the version
	// would stand for two states.
	TellsVersion() bool
	// decide answers the request. It changes the book only when it returns no error, except that a reserve which falls
	// short has expired overdue reservations.
	decide(*Book) (T, error)
}

// Decide answers one request. An error is a refusal, after which the next request can be decided; only ErrStale, a
// MoreError and ErrVersionTold mean that the whole book is unusable.
func Decide[T any](b *Book, r Request[T]) (T, error) { return r.decide(b) }

// Reads has the keys of the rows that must be read under lock to decide a batch of requests.
type Reads struct {
	Products     []uuid.UUID // all items of these products
	Reservations []uuid.UUID // these reservations, their lines, the items of the lines, and how they were resolved
	Owners       []Owner     // the reservations with these owners and numbers, under any id
	Reserves     []uuid.UUID // reservations to make; of an existing reservation, its lines and its first answer
	Backorders   []uuid.UUID // these backorders, all items of their products, and the reservations of the same ids
	Operations   []uuid.UUID // the ledger entries of these operations
	Named        []uuid.UUID // remembered operations with these names
	Ensure       []Place     // items to create, empty, if missing; with the facts about their products
	Facts        []uuid.UUID // facts about these products as a whole
	Incoming     []uuid.UUID // these deliveries
}

// Add adds the keys of other.
func (r *Reads) Add(other *Reads) {
	r.Products = append(r.Products, other.Products...)
	r.Reservations = append(r.Reservations, other.Reservations...)
	r.Owners = append(r.Owners, other.Owners...)
	r.Reserves = append(r.Reserves, other.Reserves...)
	r.Backorders = append(r.Backorders, other.Backorders...)
	r.Operations = append(r.Operations, other.Operations...)
	r.Named = append(r.Named, other.Named...)
	r.Ensure = append(r.Ensure, other.Ensure...)
	r.Facts = append(r.Facts, other.Facts...)
	r.Incoming = append(r.Incoming, other.Incoming...)
}

// Place is a product at a location.
type Place struct {
	ProductID uuid.UUID
	Location  string
}
