package record

// Known says whether the service has a Record, by what it answers when asked for it.
type Known int

// The answers. What the service said may not be enough to tell.
const (
	KnownUnclear Known = iota
	KnownYes
	KnownNo
)
