// The hand-written files of inventoryapi, the contract of the inventory service: errors.go (typed
// errors and their one table), client.go (the client), reservation.go (ids, the interface that service
// and client share) and event.go (payloads of the events). api.gen.go is generated from
// ../openapi.yaml. The package imports neither gin nor pgx, so that every client may use it.
package inventoryapi
