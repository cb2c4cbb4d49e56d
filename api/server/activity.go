package server

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"holdfast/internal/orderstore"
	"holdfast/inventory/inventoryapi"
)

const (
	// tellEvery is how often inventory is told again of what it has not answered for.
	tellEvery = 5 * time.Second
	// tellBudget is how long a caller waits until inventory was told of their change; after it the loop goes on.
	tellBudget = 2 * time.Second
	// tellPage is how many products are read at once.
	tellPage = 100
)

// teller tells inventory which products the catalogue sells. The catalogue decides, in its own database; what inventory
// knows of it follows. A change marks its product as untold in its transaction, and the mark stays until inventory has
// answered for that version, so neither a crash nor an outage of either side loses the message, and no transaction spans
// both databases. Several processes may tell at once: inventory goes by the version.
type teller struct {
	store     *orderstore.Store
	inventory interface {
		SetSellable(ctx context.Context, productID uuid.UUID, in inventoryapi.SellableRequest) (inventoryapi.Sellable, error)
	}
	log  *slog.Logger
	wake chan struct{} // room for one
}

func newTeller(store *orderstore.Store, inventory Inventory, log *slog.Logger) *teller {
	return &teller{store: store, inventory: inventory, log: log, wake: make(chan struct{}, 1)}
}

// run tells of every change until ctx ends.
func (t *teller) run(ctx context.Context) {
	every := time.NewTicker(tellEvery)
	defer every.Stop()
	for {
		if err := t.all(ctx); err != nil && ctx.Err() == nil {
			t.log.WarnContext(ctx, "not every product's sellable flag reached inventory; the next round sends it again",
				"error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		case <-t.wake:
		}
	}
}

// soon has the loop begin at once.
func (t *teller) soon() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// all tells of each untold product once; what fails stands in the way of no other.
func (t *teller) all(ctx context.Context) error {
	var failed error
	after := uuid.Nil
	for ctx.Err() == nil {
		page, err := t.store.Untold(ctx, after, tellPage)
		if err != nil {
			return err
		}
		for _, a := range page {
			if err := t.one(ctx, a); errors.Is(err, inventoryapi.Unavailable) {
				return err // the next one would not get through either
			} else if err != nil {
				failed = err
			}
		}
		if len(page) < tellPage {
			break
		}
		after = page[len(page)-1].ProductID
	}
	return failed
}

// one tells of one product, and marks it as told.
func (t *teller) one(ctx context.Context, a orderstore.Activity) error {
	if _, err := t.inventory.SetSellable(ctx, a.ProductID, inventoryapi.SellableRequest{Sellable: &a.Active, CatalogueVersion: a.Version}); err != nil {
		return err
	}
	return t.store.MarkTold(ctx, a)
}

// now tells of a product that has just changed, where it has to be told of, and leaves it to the loop where that fails.
func (t *teller) now(ctx context.Context, p orderstore.Product) {
	if !p.Untold {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, tellBudget)
	defer cancel()
	if err := t.one(ctx, orderstore.Activity{ProductID: p.ProductID, Active: p.Active, Version: p.Version}); err != nil {
		t.log.WarnContext(ctx, "inventory was not told whether a product is sold; it will be told again", "product_id", p.ProductID, "error", err)
	}
}
