package stock

import (
	"cmp"
	"time"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// Incoming is a delivery that operators expect.
type Incoming struct {
	ID         uuid.UUID
	ProductID  uuid.UUID
	Location   string // code
	Quantity   int64  // of the whole delivery
	Received   int64  // the part that has arrived
	ExpectedAt time.Time
	Reference  string
	Status     inventoryapi.IncomingStatus
	Version    int64
	Actor      string
	CreatedAt  time.Time
	UpdatedAt  time.Time

	readVersion int64 // 0 for a new delivery
}

// ReadVersion returns the version that was read. The update requires that the row still has it; 0 means insert.
func (d *Incoming) ReadVersion() int64 { return d.readVersion }

const (
	maxReference = 255  // characters
	maxAhead     = 1830 // days that the time of a delivery may lie ahead
)

// expectable refuses a time that is too far ahead.
func (b *Book) expectable(at time.Time) error {
	if at.After(b.now.AddDate(0, 0, maxAhead)) {
		return inventoryapi.Errorf(inventoryapi.InvalidDuration, "expected_at",
			"a delivery may be expected at most %d days from now", maxAhead)
	}
	return nil
}

// NoteIncoming adds deliveries to the book.
func (b *Book) NoteIncoming(list []Incoming) {
	for i := range list {
		list[i].readVersion = list[i].Version
		b.setIncoming(&list[i])
	}
}

func (b *Book) setIncoming(d *Incoming) {
	if b.incoming == nil {
		b.incoming = map[uuid.UUID]*Incoming{}
	}
	b.incoming[d.ID] = d
}

// expectedIncoming returns an open delivery. version is the one that the caller expects, or nil.
func (b *Book) expectedIncoming(id uuid.UUID, version *int64) (*Incoming, error) {
	d := b.incoming[id]
	switch {
	case d == nil:
		return nil, IncomingNotFound(id)
	case d.Status != inventoryapi.IncomingExpected:
		return nil, inventoryapi.Errorf(inventoryapi.IncomingClosed, "", "delivery %s is %s", id, d.Status)
	case version != nil && *version != d.Version:
		return nil, inventoryapi.Errorf(inventoryapi.VersionConflict, "expected_version",
			"delivery %s is at version %d, not %d; read it again and repeat the change on the current version",
			id, d.Version, *version)
	}
	return d, nil
}

// IncomingNotFound tells a client that there is no delivery.
func IncomingNotFound(id uuid.UUID) error {
	return inventoryapi.Errorf(inventoryapi.IncomingNotFound, "incoming_id", "there is no delivery %s", id)
}

// change records the author of a change.
func (d *Incoming) change(b *Book, actor string) {
	d.Actor, d.UpdatedAt = actor, b.now
	d.Version++
}

// DescribeIncoming returns a delivery as clients see it.
func DescribeIncoming(d *Incoming) inventoryapi.Incoming {
	return inventoryapi.Incoming{
		IncomingID: d.ID,
		ProductID:  d.ProductID,
		Location:   d.Location,
		Quantity:   d.Quantity,
		Received:   d.Received,
		ExpectedAt: d.ExpectedAt,
		Reference:  d.Reference,
		Status:     d.Status,
		Version:    d.Version,
		Actor:      d.Actor,
		CreatedAt:  d.CreatedAt,
		UpdatedAt:  d.UpdatedAt,
	}
}

func checkDelivered(name string, quantity int64) error {
	if quantity < 1 || quantity > MaxStock {
		return inventoryapi.Errorf(inventoryapi.InvalidQuantity, name,
			"a delivered quantity lies between 1 and %d", int64(MaxStock))
	}
	return nil
}

func checkReference(reference string) error {
	switch {
	case long(reference, maxReference):
		return tooLong("reference", maxReference)
	case !Storable(reference):
		return unstorable("reference")
	}
	return nil
}

func checkExpectedVersion(version *int64) error {
	if version != nil && *version < 0 {
		return inventoryapi.Errorf(inventoryapi.InvalidInput, "expected_version", "a version is not negative")
	}
	return nil
}

// AddIncoming records a delivery that is expected. It changes no stock. It acts once per id.
type AddIncoming struct {
	id      uuid.UUID
	product uuid.UUID
	in      inventoryapi.AddIncomingRequest
	actor   string
}

// NewAddIncoming checks a request. The caller has checked that the location exists. The id names the delivery.
func NewAddIncoming(
	id, product uuid.UUID, in inventoryapi.AddIncomingRequest, o inventoryapi.WriteOptions,
) (AddIncoming, error) {
	a := AddIncoming{id: id, product: product, in: in, actor: cmp.Or(o.Actor, in.Actor)}
	if product == uuid.Nil {
		return a, required("product_id")
	}
	if err := checkLocation("location", in.Location); err != nil {
		return a, err
	}
	if err := checkDelivered("quantity", in.Quantity); err != nil {
		return a, err
	}
	if in.ExpectedAt.IsZero() {
		return a, required("expected_at")
	}
	if err := checkReference(in.Reference); err != nil {
		return a, err
	}
	return a, CheckActor(a.actor)
}

// Kind names the operation.
func (AddIncoming) Kind() string { return "add_incoming" }

// TellsVersion reports that the answer does not contain the product's version.
func (AddIncoming) TellsVersion() bool { return false }

// Reads adds the delivery, which may exist if the request is a repeat.
func (a AddIncoming) Reads(reads *Reads) { reads.Incoming = append(reads.Incoming, a.id) }

func (a AddIncoming) decide(b *Book) (out inventoryapi.Incoming, err error) {
	if b.incoming[a.id] != nil {
		return out, operationUsed(a.id)
	}
	if err := b.expectable(a.in.ExpectedAt); err != nil {
		return out, err
	}
	d := &Incoming{
		ID:         a.id,
		ProductID:  a.product,
		Location:   a.in.Location,
		Quantity:   a.in.Quantity,
		ExpectedAt: a.in.ExpectedAt.UTC().Truncate(time.Microsecond),
		Reference:  a.in.Reference,
		Status:     inventoryapi.IncomingExpected,
		Version:    1,
		Actor:      a.actor,
		CreatedAt:  b.now,
		UpdatedAt:  b.now,
	}
	b.setIncoming(d)
	return DescribeIncoming(d), nil
}

// ChangeIncoming changes what is expected of a delivery. Absent fields stay as they are.
type ChangeIncoming struct {
	id    uuid.UUID
	in    inventoryapi.ChangeIncomingRequest
	actor string
}

// NewChangeIncoming checks a request. The caller has checked that the location exists.
func NewChangeIncoming(
	id uuid.UUID, in inventoryapi.ChangeIncomingRequest, o inventoryapi.WriteOptions,
) (ChangeIncoming, error) {
	c := ChangeIncoming{id: id, in: in, actor: cmp.Or(o.Actor, in.Actor)}
	if id == uuid.Nil {
		return c, required("incoming_id")
	}
	if in.Location != nil {
		if err := checkLocation("location", *in.Location); err != nil {
			return c, err
		}
	}
	if in.Quantity != nil {
		if err := checkDelivered("quantity", *in.Quantity); err != nil {
			return c, err
		}
	}
	if in.Reference != nil {
		if err := checkReference(*in.Reference); err != nil {
			return c, err
		}
	}
	if err := checkExpectedVersion(in.ExpectedVersion); err != nil {
		return c, err
	}
	return c, CheckActor(c.actor)
}

// Kind names the operation.
func (ChangeIncoming) Kind() string { return "change_incoming" }

// TellsVersion reports that the answer does not contain the product's version.
func (ChangeIncoming) TellsVersion() bool { return false }

// Reads adds the delivery.
func (c ChangeIncoming) Reads(reads *Reads) { reads.Incoming = append(reads.Incoming, c.id) }

func (c ChangeIncoming) decide(b *Book) (out inventoryapi.Incoming, err error) {
	d, err := b.expectedIncoming(c.id, c.in.ExpectedVersion)
	if err != nil {
		return out, err
	}
	if c.in.Quantity != nil && *c.in.Quantity <= d.Received {
		return out, inventoryapi.Errorf(inventoryapi.InvalidQuantity, "quantity",
			"%d of delivery %s have arrived; the whole must be more, or cancel the rest", d.Received, d.ID)
	}

	if c.in.ExpectedAt != nil {
		if err := b.expectable(*c.in.ExpectedAt); err != nil {
			return out, err
		}
	}

	after := *d
	if c.in.Location != nil {
		after.Location = *c.in.Location
	}
	if c.in.Quantity != nil {
		after.Quantity = *c.in.Quantity
	}
	if c.in.ExpectedAt != nil {
		after.ExpectedAt = c.in.ExpectedAt.UTC().Truncate(time.Microsecond)
	}
	if c.in.Reference != nil {
		after.Reference = *c.in.Reference
	}
	if after != *d {
		*d = after
		d.change(b, c.actor)
	}
	return DescribeIncoming(d), nil
}

// CancelIncoming ends the wait for a delivery, or for the rest of it.
type CancelIncoming struct {
	id    uuid.UUID
	in    inventoryapi.CancelIncomingRequest
	actor string
}

// NewCancelIncoming checks a request.
func NewCancelIncoming(
	id uuid.UUID, in inventoryapi.CancelIncomingRequest, o inventoryapi.WriteOptions,
) (CancelIncoming, error) {
	c := CancelIncoming{id: id, in: in, actor: cmp.Or(o.Actor, in.Actor)}
	if id == uuid.Nil {
		return c, required("incoming_id")
	}
	if err := checkExpectedVersion(in.ExpectedVersion); err != nil {
		return c, err
	}
	return c, CheckActor(c.actor)
}

// Kind names the operation.
func (CancelIncoming) Kind() string { return "cancel_incoming" }

// TellsVersion reports that the answer does not contain the product's version.
func (CancelIncoming) TellsVersion() bool { return false }

// Reads adds the delivery.
func (c CancelIncoming) Reads(reads *Reads) { reads.Incoming = append(reads.Incoming, c.id) }

func (c CancelIncoming) decide(b *Book) (out inventoryapi.Incoming, err error) {
	if d := b.incoming[c.id]; d != nil && d.Status == inventoryapi.IncomingCancelled {
		return DescribeIncoming(d), nil
	}
	d, err := b.expectedIncoming(c.id, c.in.ExpectedVersion)
	if err != nil {
		return out, err
	}
	d.Status = inventoryapi.IncomingCancelled
	d.change(b, c.actor)
	return DescribeIncoming(d), nil
}

// ReceiveIncoming receives a delivery, or a part of it: the stock rises as by a Receive, in the same transaction.
type ReceiveIncoming struct {
	Receive
	id      uuid.UUID
	version *int64
}

// NewReceiveIncoming makes the request for a delivery that the caller has read, and checks it. A quantity of 0 means
// all that has not arrived yet.
func NewReceiveIncoming(
	d inventoryapi.Incoming, in inventoryapi.ReceiveIncomingRequest, op uuid.UUID, o inventoryapi.WriteOptions,
	correlationID string,
) (ReceiveIncoming, error) {
	r := ReceiveIncoming{
		Receive: Receive{
			OperationID:   op,
			ProductID:     d.ProductID,
			Location:      d.Location,
			Quantity:      in.Quantity,
			Actor:         cmp.Or(o.Actor, in.Actor),
			Reason:        cmp.Or(in.Reason, d.Reference),
			CorrelationID: correlationID,
		},
		id:      d.IncomingID,
		version: in.ExpectedVersion,
	}
	if in.Quantity < 0 || in.Quantity > MaxStock {
		return r, checkDelivered("quantity", in.Quantity)
	}
	if err := checkExpectedVersion(in.ExpectedVersion); err != nil {
		return r, err
	}
	return r, r.Check()
}

// Kind names the operation.
func (ReceiveIncoming) Kind() string { return "receive_incoming" }

// Reads adds the delivery to what a Receive reads.
func (r ReceiveIncoming) Reads(reads *Reads) {
	r.Receive.Reads(reads)
	reads.Incoming = append(reads.Incoming, r.id)
}

func (r ReceiveIncoming) decide(b *Book) (out inventoryapi.IncomingReceipt, err error) {
	d := b.incoming[r.id]
	if d == nil {
		return out, IncomingNotFound(r.id)
	}
	if d.ProductID != r.ProductID || d.Location != r.Location {
		return out, inventoryapi.Errorf(inventoryapi.VersionConflict, "",
			"delivery %s was changed meanwhile; send the same request again", d.ID)
	}
	repeated := len(b.entries[r.OperationID]) > 0
	if !repeated {
		if _, err := b.expectedIncoming(r.id, r.version); err != nil {
			return out, err
		}
		r.Quantity = cmp.Or(r.Quantity, d.Quantity-d.Received)
	}

	receipt, err := r.Receive.decide(b)
	if err != nil {
		return out, err
	}
	if !repeated {
		d.Received += receipt.Quantity
		if d.Received >= d.Quantity {
			d.Status = inventoryapi.IncomingReceived
		}
		d.change(b, r.Actor)
	}
	return inventoryapi.IncomingReceipt{
		Incoming: DescribeIncoming(d),
		Change: inventoryapi.StockChange{
			OperationID:    r.OperationID,
			ProductID:      receipt.ProductID,
			Location:       receipt.Location,
			Quantity:       receipt.Quantity,
			Stock:          receipt.Stock,
			ReservedStock:  receipt.Reserved,
			AvailableStock: receipt.Stock - receipt.Reserved,
			Version:        receipt.Version,
			Replayed:       receipt.Replayed,
		},
	}, nil
}
