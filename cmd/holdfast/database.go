package main

import "holdfast/internal/redisclient"

// databases are the addresses that migrate, seed and sync work on.
type databases struct {
	Orders    string `env:"ORDERS_DATABASE_URL,required,notEmpty"`
	Inventory string `env:"INVENTORY_DATABASE_URL,required,notEmpty"`
	Sandbox   string `env:"SANDBOX_DATABASE_URL"` // only if the payment sandbox is used

	Redis redisclient.Config // of the inventory service's cache, if it has one
}
