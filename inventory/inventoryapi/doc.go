// Package inventoryapi is the contract of the inventory service. codes.go has the error codes and their one table,
// errors.go the typed errors, event.go the payloads of the events; reservation.go, administration.go and queries.go
// have the interfaces that the service and its client share. api.gen.go is generated from ../openapi.yaml. The package
// imports neither gin nor pgx, so that every client may use it.
package inventoryapi
