package inventory

import (
	"context"

	"github.com/google/uuid"

	"holdfast/internal/correlation"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
	"holdfast/inventory/store"
)

var _ inventoryapi.IncomingStock = (*Service)(nil)

func repeatedIncoming(d inventoryapi.Incoming) inventoryapi.Incoming {
	d.Replayed = true
	return d
}

// AddIncoming implements inventoryapi.IncomingStock. The name of the write is the delivery's id.
func (s *Service) AddIncoming(
	ctx context.Context, productID uuid.UUID, in inventoryapi.AddIncomingRequest, o inventoryapi.WriteOptions,
) (inventoryapi.Incoming, error) {
	asked := in
	asked.Actor = ""
	w := write{kind: "add_incoming", options: o, actor: in.Actor, asked: []any{productID, asked}}
	out, err := applyNamed(ctx, s, w, repeatedIncoming, func(id uuid.UUID) (stock.AddIncoming, error) {
		r, err := stock.NewAddIncoming(id, productID, in, o)
		if err == nil {
			_, err = s.locations(ctx, in.Location)
		}
		return r, err
	})
	if err == nil && !out.Replayed {
		s.log.InfoContext(ctx, "delivery expected", "actor", w.actedBy(), "incoming_id", out.IncomingID,
			"product_id", productID, "quantity", out.Quantity, "expected_at", out.ExpectedAt)
	}
	return out, err
}

// ChangeIncoming implements inventoryapi.IncomingStock.
func (s *Service) ChangeIncoming(
	ctx context.Context, incomingID uuid.UUID, in inventoryapi.ChangeIncomingRequest, o inventoryapi.WriteOptions,
) (inventoryapi.Incoming, error) {
	asked := in
	asked.Actor = ""
	w := write{kind: "change_incoming", options: o, actor: in.Actor, asked: []any{incomingID, asked}}
	out, err := applyNamed(ctx, s, w, repeatedIncoming, func(uuid.UUID) (stock.ChangeIncoming, error) {
		r, err := stock.NewChangeIncoming(incomingID, in, o)
		if err == nil && in.Location != nil {
			_, err = s.locations(ctx, *in.Location)
		}
		return r, err
	})
	if err == nil && !out.Replayed {
		s.log.InfoContext(ctx, "delivery changed", "actor", w.actedBy(), "incoming_id", incomingID,
			"quantity", out.Quantity, "expected_at", out.ExpectedAt)
	}
	return out, err
}

// ReceiveIncoming implements inventoryapi.IncomingStock.
func (s *Service) ReceiveIncoming(
	ctx context.Context, incomingID uuid.UUID, in inventoryapi.ReceiveIncomingRequest, o inventoryapi.WriteOptions,
) (inventoryapi.IncomingReceipt, error) {
	asked := in
	asked.OperationID, asked.Actor = uuid.Nil, ""
	w := write{
		kind:    "receive_incoming",
		options: o,
		actor:   in.Actor,
		id:      in.OperationID,
		asked:   []any{incomingID, asked},
	}
	repeat := func(r inventoryapi.IncomingReceipt) inventoryapi.IncomingReceipt {
		r.Incoming.Replayed, r.Change = true, repeatedChange(r.Change)
		return r
	}
	return applyNamed(ctx, s, w, repeat, func(op uuid.UUID) (stock.ReceiveIncoming, error) {
		d, err := s.GetIncoming(ctx, incomingID) // its product and location are read again under lock
		if err != nil {
			return stock.ReceiveIncoming{}, err
		}
		return stock.NewReceiveIncoming(d, in, op, o, correlation.From(ctx))
	})
}

// CancelIncoming implements inventoryapi.IncomingStock.
func (s *Service) CancelIncoming(
	ctx context.Context, incomingID uuid.UUID, in inventoryapi.CancelIncomingRequest, o inventoryapi.WriteOptions,
) (inventoryapi.Incoming, error) {
	asked := in
	asked.Actor = ""
	w := write{kind: "cancel_incoming", options: o, actor: in.Actor, asked: []any{incomingID, asked}}
	out, err := applyNamed(ctx, s, w, repeatedIncoming, func(uuid.UUID) (stock.CancelIncoming, error) {
		return stock.NewCancelIncoming(incomingID, in, o)
	})
	if err == nil && !out.Replayed {
		s.log.InfoContext(ctx, "delivery cancelled", "actor", w.actedBy(), "incoming_id", incomingID)
	}
	return out, err
}

// GetIncoming implements inventoryapi.IncomingStock.
func (s *Service) GetIncoming(ctx context.Context, incomingID uuid.UUID) (inventoryapi.Incoming, error) {
	out, found, err := s.store.GetIncoming(ctx, incomingID)
	switch {
	case err != nil:
		return out, unavailable(err)
	case !found:
		return out, stock.IncomingNotFound(incomingID)
	}
	return out, nil
}

// ListIncoming implements inventoryapi.IncomingStock.
func (s *Service) ListIncoming(
	ctx context.Context, productID uuid.UUID, page inventoryapi.Page,
) (out inventoryapi.IncomingList, err error) {
	valid := func(p store.IncomingPosition) bool { return !p.ExpectedAt.IsZero() && p.IncomingID != uuid.Nil }
	position, err := positionOf("incoming", page, productID.String(), store.IncomingPosition{}, valid)
	if err != nil {
		return out, err
	}
	rows, err := s.store.ListIncoming(ctx, productID, position.after, position.limit+1)
	if err != nil {
		return out, unavailable(err)
	}
	out.Items, out.NextCursor = cut(rows, position)
	return out, nil
}
