package store

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"holdfast/inventory/stock"
)

// Class says what a failed transaction means for the batch.
type Class int

// The classes.
const (
	Other          Class = iota // one of the requests may be at fault
	Conflict                    // another transaction won a race: read again and decide again
	OperationTaken              // an operation id is in the ledger already
	Blocked                     // another transaction held a lock for longer than the lock timeout
	Disconnected                // the database did not answer; the commit may have happened
)

// ErrVersionConflict means that another transaction changed a row after it was read.
var ErrVersionConflict = errors.New("a row changed after it was read")

// ErrFault means that a statement could not be sent because of a fault in this program.
var ErrFault = errors.New("an internal fault")

// Classify returns the class of an error of Decide.
func Classify(err error) Class {
	var pg *pgconn.PgError
	var connect *pgconn.ConnectError
	switch {
	case errors.As(err, &connect): // with any reason that the server gave
		return Disconnected
	case errors.Is(err, ErrVersionConflict), errors.Is(err, stock.ErrStale):
		return Conflict
	case errors.Is(err, ErrFault), errors.Is(err, stock.ErrVersionTold):
		return Other
	case !errors.As(err, &pg):
		return Disconnected // not an answer of the server: the server was not reached, or its answer was cut off
	}
	switch pg.Code {
	case "40001", "40P01": // serialization failure, deadlock
		return Conflict
	case "55P03": // lock_timeout
		return Blocked
	case "23505":
		switch pg.ConstraintName {
		case "reservations_pkey", "archived_reservations_pkey", "reservations_owner_key", "items_product_location_key",
			"reservations_not_backordered", "backorders_pkey", "backorders_owner_key", "incoming_stock_pkey":
			return Conflict // another transaction wrote the row between the read and the write of this one
		case "stock_ledger_operation_key", "stock_operations_pkey":
			return OperationTaken
		}
	case "25006", "25P03": // read-only, as after the server's demotion; idle for too long in a transaction
		return Disconnected
	case "0A000", "26000": // a prepared statement does not fit the schema any more, or does not exist; see unusable
		return Disconnected
	}
	switch pg.Code[:2] { // connection, resources, intervention (stopping, starting, cancelled), system
	case "08", "53", "57", "58":
		return Disconnected
	}
	return Other
}

// ReservationExists reports whether an insert failed because its reservation id exists, live or archived or as that of
// a backorder.
func ReservationExists(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "23505" &&
		(pg.ConstraintName == "reservations_pkey" || pg.ConstraintName == "archived_reservations_pkey" ||
			pg.ConstraintName == "reservations_not_backordered")
}

// unusable reports whether a connection must not be used again: its prepared statements do not fit the schema any more,
// as after a migration, or its server is read-only.
func unusable(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "0A000" || pg.Code == "26000" || pg.Code == "25006")
}
