package promise_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"holdfast/internal/promise"
)

func TestDay(t *testing.T) {
	t.Parallel()
	shop := promise.Config{
		CutOffs:     map[string]string{"*": "14:00 Europe/Vienna", "east": "12:00 America/New_York", "utc": "14:00"},
		CarrierDays: map[string]int{"*": 5, "AT": 1, "DE": 2, "LI": 0},
		Workdays:    []string{"mon", "tue", "wed", "thu", "fri"},
		ClosedDays:  []string{"2026-12-25"},
	}
	calendar, err := promise.NewCalendar(shop)
	require.NoError(t, err)
	for _, c := range []struct {
		name, location, country, now, want string
	}{
		{"before the cut-off", "main", "AT", "2026-12-01T12:59:59Z", "2026-12-02"},
		{"at the cut-off, an hour before UTC's", "main", "AT", "2026-12-01T13:00:00Z", "2026-12-03"},
		{"in summer, two hours before UTC's", "main", "AT", "2026-07-01T12:00:00Z", "2026-07-03"},
		{"UTC without a zone", "utc", "AT", "2026-12-01T13:59:00Z", "2026-12-02"},
		{"another location's cut-off", "east", "AT", "2026-12-01T16:59:00Z", "2026-12-02"},
		{"the evening before, in the zone of the location", "east", "AT", "2026-12-02T03:00:00Z", "2026-12-03"},
		{"over the weekend", "main", "DE", "2026-12-03T15:00:00Z", "2026-12-08"},
		{"on a Saturday", "main", "LI", "2026-12-05T08:00:00Z", "2026-12-07"},
		{"over a holiday and a weekend", "main", "AT", "2026-12-24T08:00:00Z", "2026-12-28"},
		{"a country that is not named", "main", "us", "2026-12-01T08:00:00Z", "2026-12-08"},
		{"without an address", "main", "", "2026-12-01T08:00:00Z", "2026-12-08"},
		{"in lower case", "main", "at", "2026-12-01T08:00:00Z", "2026-12-02"},
	} {
		now, err := time.Parse(time.RFC3339, c.now)
		require.NoError(t, err)
		require.Equal(t, c.want, calendar.Day(c.location, c.country, now), c.name)
	}

	delete(shop.CutOffs, "*")
	named, err := promise.NewCalendar(shop)
	require.NoError(t, err)
	require.Empty(t, named.Day("main", "AT", time.Now()), "nothing is promised for a location without a cut-off")
	none, err := promise.NewCalendar(promise.Config{})
	require.NoError(t, err)
	require.Empty(t, none.Day("main", "AT", time.Now()))
}

// TestLaterIsNotEarlier: what is planned later is not promised earlier, and no promise is a closed day or in the past.
func TestLaterIsNotEarlier(t *testing.T) {
	t.Parallel()
	calendar, err := promise.NewCalendar(promise.Config{
		CutOffs:     map[string]string{"*": "14:00 Europe/Vienna"},
		CarrierDays: map[string]int{"*": 2},
		Workdays:    []string{"mon", "wed", "fri"},
		ClosedDays:  []string{"2026-03-30", "2026-10-26"}, // after a night that lacks an hour, and one that has one more
	})
	require.NoError(t, err)
	rapid.Check(t, func(r *rapid.T) {
		now := time.Date(2026, 1, 1, 0, 0, rapid.IntRange(0, 365*24*3600).Draw(r, "seconds"), 0, time.UTC)
		later := now.Add(time.Duration(rapid.IntRange(0, 14*24*3600).Draw(r, "later")) * time.Second)
		day, next := calendar.Day("main", "", now), calendar.Day("main", "", later)
		require.LessOrEqual(r, day, next)
		date, err := time.Parse(time.DateOnly, day)
		require.NoError(r, err)
		require.Contains(r, []time.Weekday{time.Monday, time.Wednesday, time.Friday}, date.Weekday())
		require.NotContains(r, []string{"2026-03-30", "2026-10-26"}, day)
		require.GreaterOrEqual(r, day, now.Format(time.DateOnly))
	})
}

func TestConfigNamesEveryFault(t *testing.T) {
	t.Parallel()
	bad := promise.Config{
		CutOffs:     map[string]string{"main": "25:00", "east": "12:00 Mars/Base"},
		CarrierDays: map[string]int{"AT": -1},
		Workdays:    []string{"someday"},
		ClosedDays:  []string{"25.12.2026"},
	}
	err := bad.Validate()
	for _, part := range []string{`"25:00"`, `"Mars/Base"`, "country AT", "*:5", `"someday"`, `"25.12.2026"`} {
		require.ErrorContains(t, err, part)
	}
	idle := promise.Config{CutOffs: map[string]string{"*": "14:00"}, CarrierDays: map[string]int{"*": 1}}
	require.ErrorContains(t, idle.Validate(), "PROMISE_WORKDAYS")
	require.NoError(t, promise.Config{}.Validate())
}
