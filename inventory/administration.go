package inventory

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"holdfast/internal/correlation"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
	"holdfast/inventory/store"
)

var _ inventoryapi.Administration = (*Service)(nil)

// operationSpace is the namespace of the operation ids that keys stand for.
var operationSpace = uuid.MustParse("6b0a1c54-0d5c-5d0b-8a1e-9d1f3c7f2b66")

// maxKey bounds an Idempotency-Key, in bytes.
const maxKey = 255

// OperationID returns the operation id of an actor's Idempotency-Key.
func OperationID(actor, key string) uuid.UUID {
	name := binary.AppendUvarint(nil, uint64(len(actor)))
	return uuid.NewSHA1(operationSpace, append(append(name, actor...), key...))
}

func checkKey(key string) error {
	printable := func(r rune) bool { return r > ' ' && r <= '~' }
	if len(key) > maxKey || strings.ContainsFunc(key, func(r rune) bool { return !printable(r) }) {
		return inventoryapi.Errorf(inventoryapi.InvalidInput, "Idempotency-Key",
			"send a key of 1 to %d printable ASCII characters without spaces", maxKey)
	}
	return nil
}

// write is one request of an operator: its kind, its actor and its name.
type write struct {
	kind    string
	options inventoryapi.WriteOptions
	actor   string    // from the body
	id      uuid.UUID // from the body; may be zero
	asked   []any     // the parts of the request that a repetition must not change
}

// actedBy returns the actor. That of the options has precedence over that of the body.
func (w *write) actedBy() string { return cmp.Or(w.options.Actor, w.actor) }

// identify determines the operation's id, and reports whether the caller named the operation.
func (w *write) identify() (named bool, err error) {
	if w.options.Key == "" {
		named = w.id != uuid.Nil
		if !named {
			w.id = uuid.New()
		}
		return named, nil
	}
	if err := checkKey(w.options.Key); err != nil {
		return false, err
	}
	id := OperationID(w.actedBy(), w.options.Key)
	if w.id != uuid.Nil && w.id != id {
		return false, inventoryapi.Errorf(inventoryapi.InvalidInput, "Idempotency-Key",
			"send an operation_id or an Idempotency-Key, not both: each names the operation")
	}
	w.id = id
	return true, nil
}

// hash distinguishes a repeated request from a different request under the same name.
func (w *write) hash() []byte {
	raw, err := json.Marshal(append([]any{w.kind}, w.asked...))
	if err != nil {
		panic(err) // plain values
	}
	sum := sha256.Sum256(raw)
	return sum[:]
}

// applyNamed writes the request that build returns for an operation id. If the caller named the operation, the request
// acts once under that name, and repeat marks the answer of a repetition.
func applyNamed[R stock.Request[T], T any](
	ctx context.Context, s *Service, w write, repeat func(T) T, build func(id uuid.UUID) (R, error),
) (T, error) {
	named, err := w.identify()
	var request stock.Request[T]
	if err == nil {
		request, err = build(w.id)
	}
	if err != nil {
		s.metrics.refused(w.kind, err)
		var none T
		return none, err
	}
	if named {
		request = stock.NewNamed(request, w.id, w.hash(), w.options.Key != "", repeat)
	}
	return applyOne(ctx, s, request, nil)
}

func repeatedChange(c inventoryapi.StockChange) inventoryapi.StockChange {
	c.Version, c.Replayed = 0, true
	return c
}

// ReceiveStock implements inventoryapi.Administration.
func (s *Service) ReceiveStock(
	ctx context.Context, productID uuid.UUID, in inventoryapi.ReceiveRequest, o inventoryapi.WriteOptions,
) (inventoryapi.StockChange, error) {
	asked := in
	asked.OperationID, asked.Actor = uuid.Nil, ""
	w := write{
		kind:    "receive",
		options: o,
		actor:   in.Actor,
		id:      in.OperationID,
		asked:   []any{productID, asked},
	}
	repeat := func(r stock.Receipt) stock.Receipt {
		r.Version, r.Replayed = 0, true
		return r
	}

	got, err := applyNamed(ctx, s, w, repeat, func(id uuid.UUID) (stock.Receive, error) {
		in.OperationID = id
		return stock.NewReceive(productID, in, o, correlation.From(ctx))
	})
	switch {
	case err != nil:
		return inventoryapi.StockChange{}, err
	case got.Quantity != in.Quantity: // a repeat changed nothing, so it is not too late to refuse it
		return inventoryapi.StockChange{}, stock.NameUsed(in.OperationID, o.Key != "")
	}

	return inventoryapi.StockChange{
		OperationID:    in.OperationID,
		ProductID:      got.ProductID,
		Location:       got.Location,
		Quantity:       got.Quantity,
		Stock:          got.Stock,
		ReservedStock:  got.Reserved,
		AvailableStock: got.Stock - got.Reserved,
		Version:        got.Version,
		Replayed:       got.Replayed,
	}, nil
}

// AdjustStock implements inventoryapi.Administration.
func (s *Service) AdjustStock(
	ctx context.Context, productID uuid.UUID, in inventoryapi.AdjustRequest, o inventoryapi.WriteOptions,
) (inventoryapi.StockChange, error) {
	asked := in
	asked.OperationID, asked.Actor = uuid.Nil, ""
	w := write{
		kind:    "adjust",
		options: o,
		actor:   in.Actor,
		id:      in.OperationID,
		asked:   []any{productID, asked},
	}
	return applyNamed(ctx, s, w, repeatedChange, func(id uuid.UUID) (stock.Adjust, error) {
		in.OperationID = id
		return stock.NewAdjust(productID, in, o, correlation.From(ctx))
	})
}

// TransferStock implements inventoryapi.Administration.
func (s *Service) TransferStock(
	ctx context.Context, productID uuid.UUID, in inventoryapi.TransferRequest, o inventoryapi.WriteOptions,
) (inventoryapi.TransferResult, error) {
	asked := in
	asked.OperationID, asked.Actor = uuid.Nil, ""
	w := write{
		kind:    "transfer",
		options: o,
		actor:   in.Actor,
		id:      in.OperationID,
		asked:   []any{productID, asked},
	}
	repeat := func(r inventoryapi.TransferResult) inventoryapi.TransferResult {
		r.Version, r.Replayed = 0, true
		return r
	}
	return applyNamed(ctx, s, w, repeat, func(id uuid.UUID) (stock.Transfer, error) {
		in.OperationID = id
		return stock.NewTransfer(productID, in, o, correlation.From(ctx))
	})
}

// SetThreshold implements inventoryapi.Administration. The ledger records no thresholds, so the log names the actor.
func (s *Service) SetThreshold(
	ctx context.Context, productID uuid.UUID, in inventoryapi.ThresholdRequest, o inventoryapi.WriteOptions,
) (inventoryapi.ThresholdResult, error) {
	asked := in
	asked.Actor = ""
	w := write{kind: "set_threshold", options: o, actor: in.Actor, asked: []any{productID, asked}}
	repeat := func(r inventoryapi.ThresholdResult) inventoryapi.ThresholdResult {
		r.Version, r.Replayed = 0, true
		return r
	}

	out, err := applyNamed(ctx, s, w, repeat, func(uuid.UUID) (stock.SetThreshold, error) {
		return stock.NewSetThreshold(productID, in, o)
	})
	if err == nil && !out.Replayed {
		s.log.InfoContext(ctx, "low-stock threshold set",
			"actor", w.actedBy(), "product_id", productID,
			"locations", out.Locations, "threshold", out.LowStockThreshold)
	}
	return out, err
}

// CreateItem implements inventoryapi.Administration.
func (s *Service) CreateItem(
	ctx context.Context,
	productID uuid.UUID, location string,
	in inventoryapi.CreateItemRequest, o inventoryapi.WriteOptions,
) (inventoryapi.Item, error) {
	asked := in
	asked.Actor = ""
	w := write{kind: "create_item", options: o, actor: in.Actor, asked: []any{productID, location, asked}}
	repeat := func(i inventoryapi.Item) inventoryapi.Item {
		i.Version, i.Replayed = 0, true
		return i
	}

	out, err := applyNamed(ctx, s, w, repeat, func(uuid.UUID) (stock.CreateItem, error) {
		return stock.NewCreateItem(stock.Place{ProductID: productID, Location: location}, in, o)
	})
	if err == nil && out.Created && !out.Replayed {
		s.log.InfoContext(ctx, "item created", "actor", w.actedBy(), "product_id", productID, "location", location)
	}
	return out, err
}

// DeleteItem implements inventoryapi.Administration.
func (s *Service) DeleteItem(
	ctx context.Context,
	productID uuid.UUID, location string,
	in inventoryapi.DeleteItemRequest, o inventoryapi.WriteOptions,
) (inventoryapi.StockChange, error) {
	asked := in
	asked.OperationID, asked.Actor = uuid.Nil, ""
	w := write{
		kind:    "delete_item",
		options: o,
		actor:   in.Actor,
		id:      in.OperationID,
		asked:   []any{productID, location, asked},
	}

	out, err := applyNamed(ctx, s, w, repeatedChange, func(id uuid.UUID) (stock.DeleteItem, error) {
		in.OperationID = id
		return stock.NewDeleteItem(stock.Place{ProductID: productID, Location: location}, in, o, correlation.From(ctx))
	})
	if err == nil && !out.Replayed {
		s.log.InfoContext(ctx, "item deleted",
			"actor", w.actedBy(), "product_id", productID, "location", location, "reason", in.Reason)
	}
	return out, err
}

// SetSellable implements inventoryapi.Administration.
func (s *Service) SetSellable(
	ctx context.Context, productID uuid.UUID, in inventoryapi.SellableRequest,
) (inventoryapi.Sellable, error) {
	r, err := stock.NewSetSellable(productID, in)
	return applyOne(ctx, s, r, err)
}

// Locations implements inventoryapi.Administration.
func (s *Service) Locations(ctx context.Context) ([]inventoryapi.Location, error) {
	found, err := s.store.Locations(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	out := make([]inventoryapi.Location, len(found))
	for i, l := range found {
		out[i] = inventoryapi.Location{Code: l.Code, Name: l.Name, Priority: l.Priority}
	}
	return out, nil
}

const (
	maxLocationName     = 255 // characters
	maxLocationPriority = 1_000_000
)

// PutLocation implements inventoryapi.Administration.
func (s *Service) PutLocation(
	ctx context.Context, code string, in inventoryapi.LocationRequest, o inventoryapi.WriteOptions,
) (inventoryapi.Location, error) {
	actor := cmp.Or(o.Actor, in.Actor)
	if err := checkPutLocation(code, in, actor); err != nil {
		return inventoryapi.Location{}, err
	}
	asked := in
	asked.Actor = ""
	w := write{kind: "put_location", options: o, actor: in.Actor, asked: []any{code, asked}}
	named, err := w.identify()
	if err != nil {
		return inventoryapi.Location{}, err
	}

	out := inventoryapi.Location{Code: code, Name: in.Name, Priority: *in.Priority}
	at := store.Location{Code: code, Name: in.Name, Priority: *in.Priority}
	if named {
		out, err = s.putLocationOnce(ctx, at, w, out)
	} else {
		err = s.PutLocations(ctx, at)
	}
	if err != nil {
		return inventoryapi.Location{}, err
	}

	if !out.Replayed {
		s.log.InfoContext(ctx, "location set",
			"actor", actor, "location", code, "name", in.Name, "priority", *in.Priority)
	}
	return out, nil
}

// putLocationOnce writes the location once under the name of w. For a repeated request it returns the first answer.
func (s *Service) putLocationOnce(
	ctx context.Context, at store.Location, w write, out inventoryapi.Location,
) (inventoryapi.Location, error) {
	answer, err := json.Marshal(out)
	if err != nil {
		return out, fmt.Errorf("remember the answer: %w", err)
	}
	asked := stock.Operation{ID: w.id, Hash: w.hash(), Answer: answer}
	done, claimed, err := s.store.PutLocationOnce(ctx, at, asked)
	switch {
	case err != nil:
		return out, unavailable(err)
	case claimed:
		return out, nil
	case !bytes.Equal(done.Hash, asked.Hash):
		return out, stock.NameUsed(w.id, true)
	}
	if err := json.Unmarshal(done.Answer, &out); err != nil {
		return out, fmt.Errorf("read the answer of operation %s: %w", w.id, err)
	}
	out.Replayed = true
	return out, nil
}

func checkPutLocation(code string, in inventoryapi.LocationRequest, actor string) error {
	invalid := func(field, format string, args ...any) error {
		return inventoryapi.Errorf(inventoryapi.InvalidInput, field, format, args...)
	}
	switch {
	case !locationCode.MatchString(code):
		return invalid("code",
			"a location's code has 1 to 64 of the characters a-z, 0-9 and -, and does not begin with -")
	case in.Name == "" || utf8.RuneCountInString(in.Name) > maxLocationName || !stock.Storable(in.Name):
		return invalid("name", "a name has 1 to %d characters, none of them U+0000", maxLocationName)
	case in.Priority == nil:
		return invalid("priority", "priority is required")
	case *in.Priority < 0 || *in.Priority > maxLocationPriority:
		return invalid("priority", "a priority lies between 0 and %d", maxLocationPriority)
	}
	return stock.CheckActor(actor)
}
