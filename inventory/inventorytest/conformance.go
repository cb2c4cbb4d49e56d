package inventorytest

import (
	"testing"
)

// Conformance tests an implementation of inventoryapi.API against the contract. All subtests share the subject's
// database, each with products of its own. The database must be consistent afterwards.
func Conformance(t *testing.T, s Subject) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Subject)
	}{
		{"reserve", testReserve},
		{"reserve splits by priority", testSplit},
		{"the same product on two lines", testSameProductTwice},
		{"all or nothing", testAllOrNothing},
		{"reserve again", testReserveAgain},
		{"reserve refused", testReserveRefused},
		{"replace", testReplace},
		{"replace refused", testReplaceRefused},
		{"confirm", testConfirm},
		{"release", testRelease},
		{"release before reserve", testTombstone},
		{"expire", testExpire},
		{"extend", testExtend},
		{"return", testReturn},
		{"return refused", testReturnRefused},
		{"availability", testAvailability},
		{"operation id used for two things", testOperationReused},
		{"malformed requests", testMalformed},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, s) })
	}
	RequireConsistent(t, s.Pool)
}
