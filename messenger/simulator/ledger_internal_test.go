package simulator

import "testing"

// A long run must not fill the memory. That cannot be seen from outside.
func TestLedgerForgets(t *testing.T) {
	t.Parallel()
	m, err := New(Options{App: "1", AppSecret: "s", Page: "2", PageToken: "t", LedgerSize: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for i := range 100 {
		if _, err := m.Customer("3").Says("x"); err != nil {
			t.Fatal(err)
		}
		if n := len(m.ledger.entries); n > 6 {
			t.Fatalf("%d entries are kept after %d, want at most 6", n, i+1)
		}
	}
	if got := m.Snapshot(); len(got) != 3 || got[2].Seq != 100 {
		t.Errorf("snapshot = %+v, want the last 3", got)
	}
}
