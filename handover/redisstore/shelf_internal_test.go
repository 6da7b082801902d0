package redisstore

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"usher/handover"
)

// library is a shelf of the owner o, at a time.
type library struct {
	*testing.T
	*shelf

	now time.Time
}

func newLibrary(t *testing.T) *library {
	t.Helper()
	l := &library{T: t, shelf: &shelf{}, now: time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)}
	l.begin("o", l.now.Add(time.Hour))
	return l
}

func entriesOf(ids string) (entries []handover.Entry) {
	for id := range strings.FieldsSeq(ids) {
		entries = append(entries, handover.Entry{ID: id})
	}
	return entries
}

// looks is a look into a stream that holds entries, while something happens.
func (l *library) looks(ids string, meanwhile func()) {
	l.Helper()
	v := l.view(4, l.now)
	meanwhile()
	if err := l.looked(v, entriesOf(ids), 4, "mark", l.now); err != nil {
		l.Fatal(err)
	}
}

func nothing() {}

func (l *library) puts(ids string) {
	for _, e := range entriesOf(ids) {
		l.put("o", e)
	}
}

// wants compares what a reader has; "look" is that he has to look.
func (l *library) wants(what, want string) {
	l.Helper()
	v := l.view(100, l.now)
	var got []string
	for _, e := range v.entries {
		got = append(got, e.ID)
	}
	if v.look {
		got = append(got, "look")
	}
	if is := strings.Join(got, " "); is != want {
		l.Errorf("%s: a reader has %q, want %q", what, is, want)
	}
}

func TestShelf(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		do   func(l *library)
		want string
	}{
		"new_reign":                          {func(*library) {}, "look"},
		"empty_stream":                       {func(l *library) { l.looks("", nothing) }, ""},
		"seen_is_kept":                       {func(l *library) { l.looks("1-0 2-0", nothing) }, "1-0 2-0"},
		"there_may_be_more":                  {func(l *library) { l.looks("1-0 2-0 3-0 4-0", nothing) }, "look"},
		"appended":                           {func(l *library) { l.looks("1-0", nothing); l.puts("1-1 12-0") }, "1-0 1-1 12-0"},
		"appended_before_and_seen":           {func(l *library) { l.puts("1-0"); l.looks("1-0", nothing) }, "1-0"},
		"appended_and_seen_meanwhile":        {func(l *library) { l.looks("1-0", func() { l.puts("1-0") }) }, "1-0"},
		"appended_and_not_seen":              {func(l *library) { l.looks("1-0", func() { l.puts("1-0 2-0") }) }, "1-0 2-0"},
		"seen_and_told_of_late":              {func(l *library) { l.looks("1-0 2-0", nothing); l.puts("1-0 2-0 3-0") }, "1-0 2-0 3-0"},
		"an_older_one":                       {func(l *library) { l.looks("2-0", nothing); l.puts("1-0") }, "look"},
		"no_id":                              {func(l *library) { l.looks("", nothing); l.puts("x") }, "look"},
		"in_doubt":                           {func(l *library) { l.looks("1-0", nothing); l.doubt() }, "look"},
		"in_doubt_meanwhile":                 {func(l *library) { l.looks("1-0", l.doubt) }, "look"},
		"looked_after_a_doubt":               {func(l *library) { l.doubt(); l.looks("1-0", nothing) }, "1-0"},
		"too_many":                           {func(l *library) { l.looks("", nothing); l.puts(many(shelfRoom + 1)) }, "look"},
		"appended_in_another_reign":          {func(l *library) { l.looks("", nothing); l.put("p", handover.Entry{ID: "1-0"}) }, ""},
		"acquired_again":                     {func(l *library) { l.looks("1-0", nothing); l.begin("o", l.now) }, "1-0"},
		"acquired_by_another":                {func(l *library) { l.looks("1-0", nothing); l.begin("p", l.now) }, "look"},
		"acquired_by_another_meanwhile":      {func(l *library) { l.looks("1-0", func() { l.begin("p", l.now) }) }, "look"},
		"given_away":                         {func(l *library) { l.looks("1-0", nothing); l.end("o") }, "look"},
		"another_gave_it_away":               {func(l *library) { l.looks("1-0", nothing); l.end("p") }, "1-0"},
		"looked_a_second_ago":                {func(l *library) { l.looks("1-0", nothing); l.now = l.now.Add(lookEvery) }, "look"},
		"looked_less_than_a_second_ago":      {func(l *library) { l.looks("1-0", nothing); l.now = l.now.Add(lookEvery - 1) }, "1-0"},
		"consumed":                           {func(l *library) { l.looks("1-0 2-0", nothing); l.puts("3-0"); l.consumes("1-0 2-0") }, "3-0"},
		"consumed_though_not_here":           {func(l *library) { l.looks("2-0", nothing); l.consumes("1-0 1-1 2-0") }, ""},
		"consumed_but_for_an_older_one":      {func(l *library) { l.looks("1-0 2-0", nothing); l.consumes("2-0") }, "look"},
		"consumed_in_another_reign":          {func(l *library) { l.looks("1-0", nothing); l.begin("p", l.now); l.consumes("1-0") }, "look"},
		"consumed_and_appended_with_old_ids": {func(l *library) { l.looks("5-0", nothing); l.consumes("5-0"); l.puts("4-0") }, "look"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLibrary(t)
			tt.do(l)
			l.wants("then", tt.want)
		})
	}
}

func (l *library) consumes(ids string) {
	l.Helper()
	left, err := l.took("o", entriesOf(ids), "mark")
	if v := l.view(100, l.now); err != nil || left != (v.look || len(v.entries) > 0) {
		l.Errorf("after %s more is left: %v, %v; of %d entries", ids, left, err, len(v.entries))
	}
}

func many(n int) string {
	var ids strings.Builder
	for i := range n {
		fmt.Fprintf(&ids, "%d-0 ", i+1)
	}
	return ids.String()
}

// An owner looks for what may or may not have been appended.
func TestWhatMayHaveBeenAppendedIsLookedFor(t *testing.T) {
	t.Parallel()
	rdb := redis.NewClient(&redis.Options{})
	t.Cleanup(func() { _ = rdb.Close() })
	s, err := New(rdb, Options{})
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	tell := func(int) { told++ }
	s.listeners.Store(&tell, nil)
	l := newLibrary(t)
	l.shelf = &s.shelves[3]
	l.begin("o", l.now.Add(time.Hour))
	d := &deposit{partition: &s.partitions[3], owner: "o"}
	l.looks("", nothing)
	cmd := redis.NewCmd(t.Context())
	cmd.SetVal("1-0")
	s.shelve(d, cmd, handover.Entry{})
	l.wants("appended", "1-0")
	cmd.SetErr(errors.New("cut"))
	s.shelve(d, cmd, handover.Entry{})
	l.wants("perhaps appended", "look")
	if told != 1 {
		t.Errorf("the owner was told %d times, want once", told)
	}
}
