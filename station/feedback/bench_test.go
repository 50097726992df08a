package feedback

import (
	"context"
	"testing"
	"time"

	"station-agent/store/record"
)

// told is an output that tells when it is set to something new.
type told struct {
	was int
	on  chan int
}

func (o *told) Set(hertz int) error {
	if hertz != o.was {
		o.was = hertz
		o.on <- hertz
	}
	return nil
}
func (o *told) Close() error { return nil }
func (o *told) Lost(error)   {}
func (o *told) Back()        {}

// BenchmarkVerdictToLamp is from the verdict to the lamp that is on, without what the kernel takes to set a pin.
func BenchmarkVerdictToLamp(b *testing.B) {
	book, err := NewBook()
	if err != nil {
		b.Fatal(err)
	}
	green := &told{on: make(chan int)}
	p := NewPlayer(Config{Book: book, Lamps: []Lamp{{Green, func() (Output, error) { return green, nil }, green}}})
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	var took time.Duration
	for b.Loop() {
		began := time.Now()
		p.Show(record.Scan{Verdict: record.Accepted}, 0)
		<-green.on
		took += time.Since(began)
		p.change(func(State, time.Duration) State { return State{} })
		<-green.on
	}
	b.ReportMetric(float64(took.Microseconds())/float64(b.N), "µs/verdict")
	cancel()
	<-ended
}
