package handover

import "time"

// Older tells whether Meta's time t is before the other. Times are compared at
// the coarser of their resolutions, since some come in whole seconds; a time
// that is not known is not older.
func Older(t, than time.Time) bool { return older(t, than) }
