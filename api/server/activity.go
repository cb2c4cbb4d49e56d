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
	// tellEvery is how often the loop sends changes again that inventory has not acknowledged.
	tellEvery = 5 * time.Second
	// tellBudget is how long a caller waits for inventory to acknowledge a change; the loop sends it again later.
	tellBudget = 2 * time.Second
	// tellPage is how many products the loop reads at once.
	tellPage = 100
)

// sellableSync tells inventory which products the catalogue sells. The catalogue decides this in its own database, and
// inventory's copy follows. The transaction of a change marks the product as untold, and the mark stays until inventory
// has answered for that version. So a crash or an outage of either side loses no message, and no transaction spans both
// databases. Several processes may tell at once: inventory keeps the newest version.
type sellableSync struct {
	store     *orderstore.Store
	inventory interface {
		SetSellable(ctx context.Context, productID uuid.UUID, in inventoryapi.SellableRequest) (inventoryapi.Sellable, error)
	}
	log  *slog.Logger
	wake chan struct{} // capacity 1
}

func newSellableSync(store *orderstore.Store, inventory Inventory, log *slog.Logger) *sellableSync {
	return &sellableSync{store: store, inventory: inventory, log: log, wake: make(chan struct{}, 1)}
}

// run tells inventory of every change until ctx ends.
func (t *sellableSync) run(ctx context.Context) {
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

// soon wakes the loop.
func (t *sellableSync) soon() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// all tells inventory of each untold product once. It goes on after the failure of one product.
func (t *sellableSync) all(ctx context.Context) error {
	var failed error
	after := uuid.Nil
	for ctx.Err() == nil {
		page, err := t.store.Untold(ctx, after, tellPage)
		if err != nil {
			return err
		}
		for _, a := range page {
			if err := t.one(ctx, a); errors.Is(err, inventoryapi.Unavailable) {
				return err // the next call would fail as well
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

// one tells inventory of one product, and marks it as told.
func (t *sellableSync) one(ctx context.Context, a orderstore.Activity) error {
	in := inventoryapi.SellableRequest{Sellable: &a.Active, CatalogueVersion: a.Version}
	if _, err := t.inventory.SetSellable(ctx, a.ProductID, in); err != nil {
		return err
	}
	return t.store.MarkTold(ctx, a)
}

// now tells inventory of a product that has just changed, if it is marked as untold. If that fails, the loop tells it
// later.
func (t *sellableSync) now(ctx context.Context, p orderstore.Product) {
	if !p.Untold {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, tellBudget)
	defer cancel()

	err := t.one(ctx, orderstore.Activity{ProductID: p.ProductID, Active: p.Active, Version: p.Version})
	if err != nil {
		t.log.WarnContext(ctx, "inventory was not told whether a product is sold; the next round tells it again",
			"product_id", p.ProductID, "error", err)
	}
}
