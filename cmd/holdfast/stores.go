package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/internal/database"
	"holdfast/internal/orderstore"
	"holdfast/internal/redisclient"
	"holdfast/inventory"
	"holdfast/inventory/cache"
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
	options := inventory.Options{Pool: stock}
	closers := []func(){orders.Close, stock.Close}
	if cfg.Redis.Given() {
		// What a running inventory service has cached becomes stale by what these commands write.
		client, err := redisclient.Open(cfg.Redis, "command", nil, nil)
		if err != nil {
			orders.Close()
			stock.Close()
			return stores{}, err
		}
		c := cache.New(cache.Options{Client: client})
		options.Cache = c
		closers = append(closers, func() { _ = client.Close() }, c.Close)
	}
	service := inventory.New(options)
	return stores{orders: orderstore.New(orders), stock: service, close: func() {
		service.Close()
		for _, c := range slices.Backward(closers) {
			c()
		}
	}}, nil
}
