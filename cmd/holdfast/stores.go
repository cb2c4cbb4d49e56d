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

// stores are the databases of orders and of inventory, for the commands that work on both. No other code sees both.
type stores struct {
	orders *orderstore.Store
	stock  *inventory.Service
	close  func()
}

// openStores checks that both databases answer and have this binary's schema, reports all faults together, and opens
// the databases.
func openStores(ctx context.Context, cfg databases) (stores, error) {
	err := errors.Join(
		database.Check(ctx, cfg.Orders, database.Orders),
		database.Check(ctx, cfg.Inventory, database.Inventory),
	)
	if err != nil {
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
		// A command that writes stock must also invalidate the cache of a running inventory service.
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
