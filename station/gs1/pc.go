package gs1

// PC is the protocol control word that stands before the EPC on a tag (ISO/IEC 18000-63, Tag Data Standard "PC bits"):
//
//	bit 10h       15h   16h   17h   18h         1Fh
//	    +--------+-----+-----+-----+-----------+
//	    | length | UMI | XI  |  T  | attributes |      length: of what follows, in words of 16 bits
//	    |   5    |  1  |  1  |  1  |     8      |      UMI: there is user memory; XI: another PC word begins what follows
//	    +--------+-----+-----+-----+-----------+      T: what follows is numbered by ISO, attributes are its AFI
type PC uint16

// Bytes is how long the EPC is.
func (p PC) Bytes() int { return int(p>>11) * 2 }

// UserMemory tells whether the tag has user memory with something in it.
func (p PC) UserMemory() bool { return p&0x0400 != 0 }

// Extended tells whether the first word of the EPC is another PC word.
func (p PC) Extended() bool { return p&0x0200 != 0 }

// ISO tells whether the tag holds no EPC but a number of an ISO application, which may have the bits of an EPC by chance.
func (p PC) ISO() bool { return p&0x0100 != 0 }

// AFI is which ISO application's, 0 if none is.
func (p PC) AFI() byte {
	if !p.ISO() {
		return 0
	}
	return byte(p)
}

// Hazardous tells whether an EPC's tag says that it is on hazardous material.
func (p PC) Hazardous() bool { return !p.ISO() && p&0x0001 != 0 }
