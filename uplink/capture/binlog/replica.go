package binlog

import (
	"fmt"
	"hash/fnv"
)

// replicaNote keeps how often our replica id turned out to be another's.
const replicaNote = "replica"

type replica struct {
	Station string `json:"station"`
	Clashes uint32 `json:"clashes"`
}

// replicaID is our id among the server's replicas: one of the range that the station's identity chooses, another one after
// each clash.
func (s *Source) replicaID() uint32 { return s.replicaAfter(s.clashes.Load()) }

func (s *Source) replicaAfter(clashes uint32) uint32 {
	h := fnv.New32a()
	fmt.Fprint(h, s.cfg.Station)
	if clashes > 0 {
		fmt.Fprint(h, "/", clashes)
	}
	return s.cfg.ServerIDs + h.Sum32()%s.cfg.ServerIDSpan
}

// recallReplica takes up the id that the last run ended with.
func (s *Source) recallReplica() error {
	var r replica
	known, err := recall(s.cfg.Memory, replicaNote, &r)
	if known && r.Station == s.cfg.Station && r.Clashes > s.clashes.Load() {
		s.clashes.Store(r.Clashes)
	}
	return err
}

// clash takes another id, for good, and says so.
func (s *Source) clash(why error) error {
	old := s.replicaID()
	if s.cfg.ServerIDSpan == 1 {
		return fmt.Errorf("another replica has our id %d: give the station another one, or a range to choose from: %w", old, why)
	}
	n := s.clashes.Load() + 1
	for s.replicaAfter(n) == old {
		n++
	}
	s.clashes.Store(n)
	if err := remember(s.cfg.Memory, replicaNote, replica{s.cfg.Station, n}); err != nil {
		return fmt.Errorf("another replica has our id %d, and the next one can't be kept: %w; %w", old, err, why)
	}
	return fmt.Errorf("another replica has our id %d, trying another one: %w", old, why)
}
