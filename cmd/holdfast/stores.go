package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/internal/database"
	"holdfast/internal/orderstore"
	"holdfast/inventory"
)

// stores are both sides' databases, for the commands that work on both. Only such commands see both.
type stores struct {
	orders *orderstore.Store
	stock  *inventory.Service
	close  func()
}

// openStores checks that both databases answer and have this binary's schema, tells of all faults together, and opens
// them.
func openStores(ctx context.Context, cfg databases) (stores, error) {
	if err := errors.Join(database.Check(ctx, cfg.Orders, database.Orders), database.Check(ctx, cfg.Inventory, database.Inventory)); err != nil {
		return stores{}, err
	}
	orders, err := pgxpool.New(ctx, cfg.Orders)
	if err != nil {
		return stores{}, fmt.Errorf("open the orders database: %w", err)
	}
	stock, err := pgxpool.New(ctx, cfg.Inventory)
	if err != nil {
		orders.Close()
		return stores{}, fmt.Errorf("open the inventory database: %w", err)
	}
	service := inventory.New(inventory.Options{Pool: stock})
	return stores{
		orders: orderstore.New(orders), stock: service,
		close: func() { service.Close(); orders.Close(); stock.Close() },
	}, nil
}
