// Package auth says who a request comes from, and who may do what. At the gateway a Verifier checks the tokens of
// clients; inside the platform a Guard checks what one service sends another (ADR 20).
package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"holdfast/internal/text"
)

// Role says what an identity may do.
type Role string

// The roles. A shop is the backend of a shop: it orders for customers whom it names, and it alone sets taxes, discounts
// and the price of the shipment.
const (
	Customer Role = "customer"
	Shop     Role = "shop"
	Operator Role = "operator"
	Admin    Role = "admin"
)

// Roles lists all roles.
func Roles() []Role { return []Role{Customer, Shop, Operator, Admin} }

// Identity is who a request comes from.
type Identity struct {
	Issuer  string
	Subject string
	Role    Role
}

// Operates reports whether the identity may act on what belongs to others.
func (i Identity) Operates() bool { return i.Role == Operator || i.Role == Admin }

// ActsFor reports whether the identity may do for the given customer what the customer may do.
func (i Identity) ActsFor(issuer, customer string) bool {
	return i.Operates() || i.Issuer == issuer && (i.Role == Shop || i.Subject == customer)
}

// platformActors are the names of actors that are not users: the platform itself, Temporal's own tools, the consumer
// that releases what an ended order still holds, and a service that gives no name. A token with one of these subjects
// would make a timeline show a customer's act as an act of the platform.
var platformActors = []string{"system", "temporal-operator", "backstop", "service"}

// CheckSubject refuses a subject that the database cannot record as it is, and the names of the platform's own actors.
func CheckSubject(subject string) error {
	_, unfit := text.Unfit(subject)
	switch {
	case subject == "" || len(subject) > 255 || !utf8.ValidString(subject) || unfit:
		return errors.New("its subject must have 1 to 255 bytes of UTF-8 without control or direction characters")
	case slices.Contains(platformActors, strings.ToLower(strings.TrimSpace(subject))):
		return fmt.Errorf("its subject is reserved: %s are the platform's own actors", strings.Join(platformActors, ", "))
	}
	return nil
}

const identityKey = "holdfast.identity"

// From returns the user of a request that a Verifier or a Guard has admitted.
func From(c *gin.Context) Identity {
	id, _ := c.MustGet(identityKey).(Identity)
	return id
}
