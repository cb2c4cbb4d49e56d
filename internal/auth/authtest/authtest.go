// Package authtest makes the internal tokens of tests, as the gateway does for the services behind it.
package authtest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/internal/auth"
	"holdfast/internal/servicetoken"
)

// ServiceKey is the service key that the guards of this package accept.
const ServiceKey = "a-service-key-of-the-tests"

// Issuer is the issuer of the tokens that the users of these tests have.
const Issuer = "holdfast"

// Internal is the secret of the tests' services.
var Internal = servicetoken.Config{Secrets: []string{strings.Repeat("internal-", 4)}}

// Guard returns the guard of a service for the operations of the given OpenAPI documents.
func Guard(t testing.TB, service string, specs ...[]byte) *auth.Guard {
	t.Helper()
	guard, err := auth.NewGuard(Internal, []string{ServiceKey}, service, specs...)
	require.NoError(t, err)
	return guard
}

// Token returns what the gateway sends to a service for a user.
func Token(t testing.TB, service, subject string, role auth.Role) string {
	t.Helper()
	token, err := servicetoken.NewSigner(Internal, "gateway").Sign(service, servicetoken.Caller{
		Subject: subject,
		Issuer:  Issuer,
		Role:    string(role),
	})
	require.NoError(t, err)
	return token
}

// Authorize puts what the gateway sends to a service for a user into the header.
func Authorize(t testing.TB, header http.Header, service, subject string, role auth.Role) {
	t.Helper()
	header.Set(servicetoken.Header, Token(t, service, subject, role))
}

// ActFor puts a token into the header with which another service calls the given one for subject.
func ActFor(t testing.TB, header http.Header, service, subject string) {
	t.Helper()
	token, err := servicetoken.NewSigner(Internal, "worker").Sign(service, servicetoken.Caller{Subject: subject})
	require.NoError(t, err)
	header.Set(servicetoken.Header, token)
}
