package benchcapture

func (f *figures) steady(binary string) error { return nil }
