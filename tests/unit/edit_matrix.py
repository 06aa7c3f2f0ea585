"""Edits of one module: the text before and after, by what the edit is. Read by `test_code_signature`."""

from __future__ import annotations


def edits(text: str) -> dict[str, tuple[str, str]]:
    """Name, text before and text after of each edit."""
    found = {}
    for block in text.split("=== ")[1:]:
        name, _, program = block.partition("\n")
        before, _, after = program.partition("--- becomes\n")
        found[name] = (before, after)
    return found


SAME = edits(
    r"""
=== comment
def f(x):
    return x + 1
--- becomes
# why
def f(x):

    # one more
    return x + 1  # plus

=== formatting
def f(x): return (x + 1) * 'a'
--- becomes
def f( x ):
    return (
        x+1
    ) * "a"

=== docstring
def f(x):
    return x
--- becomes
def f(x):
    '''Says what.'''
    return x

=== class docstring
class A:
  k = 1
def f(x): return A.k
--- becomes
class A:
  'doc'
  k = 1
def f(x): return A.k

=== annotations
def f(x):
    y = x
    return y
--- becomes
def f(x: int) -> int:
    y: int = x
    return y

=== bare annotation
def f(x):
    y = x
    return y
--- becomes
def f(x):
    y: int
    y = x
    return y

=== future
def f(x): return x
--- becomes
from __future__ import annotations
def f(x: Unknown): return x

=== renamed local
def f(x):
    y = x
    return y * y
--- becomes
def f(x):
    z = x
    return z * z

=== renamed local that a docstring has, too
def f(x):
    "The chance that a score is high."
    score = x
    return score
--- becomes
def f(x):
    "The chance that a score is high."
    chance = x
    return chance

=== renamed parameter
def f(x, y): return x - y
--- becomes
def f(a, b): return a - b

=== renamed in nested
def f(x):
    def g(y):
        z = x
        return z + y
    return g(x)
--- becomes
def f(a):
    def g(y):
        b = a
        return b + y
    return g(a)

=== renamed in comprehension
def f(x): return [i for i in x if i]
--- becomes
def f(x): return [j for j in x if j]

=== renamed walrus
def f(x): return [y for i in x if (y := i)]
--- becomes
def f(x): return [b for i in x if (b := i)]

=== renamed exception
def f(x):
    try: return x
    except ValueError as e: raise KeyError from e
--- becomes
def f(x):
    try: return x
    except ValueError as error: raise KeyError from error

=== renamed import
def f(x):
    import json
    return json.loads(x)
--- becomes
def f(x):
    import json as j
    return j.loads(x)

=== renamed match
def f(x):
    match x:
        case [a, *b]: return a, b
        case {'k': c, **d}: return c, d
--- becomes
def f(x):
    match x:
        case [p, *q]: return p, q
        case {'k': r, **s}: return r, s

=== renamed constant
K = 1
def f(x): return x + K
--- becomes
J = 1
def f(x): return x + J

=== renamed function
def f(x): return x
--- becomes
def g(x): return x
f = g

=== lambda or def
f = lambda x: x + 1
--- becomes
def f(x):
    return x + 1

=== reordered imports
import math
import json
def f(x): return math.pi, json
--- becomes
import json
import math
def f(x): return math.pi, json

=== unused global
def f(x): return x
--- becomes
UNUSED = 1
def unused(): return 2
def f(x): return x

=== moved down
K = 1
def f(x): return K
--- becomes
def f(x): return K


K = 1

=== statements without effect
def f(x):
    return x
--- becomes
def f(x):
    pass
    'a note'
    return x

=== logger name
import logging
log = logging.getLogger('a')
def f(x): log.info(x)
--- becomes
import logging
log = logging.getLogger('b')
def f(x): log.info(x)

=== local beside a query that mentions none
def f(rows):
    a = rows.query("age > 3")
    return a
--- becomes
def f(rows):
    kept = rows.query("age > 3")
    return kept

=== subclass where nobody looks for any
class Feature: pass
def f(x): return Feature
--- becomes
class Feature: pass
class Age(Feature): pass
def f(x): return Feature

=== field of a configuration that is not read
from dataclasses import dataclass
@dataclass
class Config:
  a: int = 1
  b: int = 1
  def total(self): return self.a
CFG = Config()
def f(x): return CFG.a
--- becomes
from dataclasses import dataclass
@dataclass
class Config:
  a: int = 1
  b: int = 2
  c: int = 3
  def total(self): return self.a
CFG = Config()
def f(x): return CFG.a

=== field of a frozen configuration that is not read
from dataclasses import dataclass
@dataclass(frozen=True)
class Config:
  a: int = 1
  b: int = 1
CFG = Config(b=3)
def f(x): return CFG.a
--- becomes
from dataclasses import dataclass
@dataclass(frozen=True)
class Config:
  a: int = 1
  b: int = 1
CFG = Config(b=4)
def f(x): return CFG.a

=== constant of a class that is not read
class CFG:
  a = 1
  b = 1
def f(x): return CFG.a
--- becomes
class CFG:
  a = 1
  b = 2
def f(x): return CFG.a

=== key of a configuration that is not read
CFG = {'a': 1, 'b': 1}
def f(x): return CFG['a']
--- becomes
CFG = {'a': 1, 'b': 2}
def f(x): return CFG['a']

=== key of a nested configuration that is not read
PARAMS = {'model': {'reg': 0.1, 'depth': 3}}
def f(x): return PARAMS['model']['reg']
--- becomes
PARAMS = {'model': {'reg': 0.1, 'depth': 4}}
def f(x): return PARAMS['model']['reg']

=== key of a configuration that is not asked for
CFG = {'a': 1, 'b': 1}
def f(x): return CFG.get('a', 3), CFG.get('a')
--- becomes
CFG = {'a': 1, 'b': 2}
def f(x): return CFG.get('a', 3), CFG.get('a')

=== key of a configuration in an object that is not asked for
class CFG:
  model = {'a': 1, 'b': 1}
def f(x): return CFG.model.get('a', 3)
--- becomes
class CFG:
  model = {'a': 1, 'b': 2}
def f(x): return CFG.model.get('a', 3)

=== field of a nested configuration that is not read
from types import SimpleNamespace as N
CFG = N(model={'reg': N(l1=0.1, l2=3)})
def f(x): return CFG.model['reg'].l1
--- becomes
from types import SimpleNamespace as N
CFG = N(model={'reg': N(l1=0.1, l2=4)})
def f(x): return CFG.model['reg'].l1

=== field of a configuration around a function that is not read
class Config:
  def __init__(self, a, b): self.a, self.b = a, b
def make(cfg):
  def f(x): return cfg.a
  return f
f = make(Config(1, 2))
--- becomes
class Config:
  def __init__(self, a, b): self.a, self.b = a, b
def make(cfg):
  def f(x): return cfg.a
  return f
f = make(Config(1, 3))

=== field that only a method reads which is not called
class Config:
  a, b = 1, 2
  def total(self): return self.a + self.b
CFG = Config()
def f(x): return CFG.a
--- becomes
class Config:
  a, b = 1, 2
  def total(self): return self.a - self.b
CFG = Config()
def f(x): return CFG.a

=== object that has the field that is read
class CFG:
  a = 0.5
def f(x): return CFG.a
--- becomes
from dataclasses import dataclass
@dataclass
class Config:
  a: float = 0.5
  b: int = 1
CFG = Config()
def f(x): return CFG.a
"""
)
"""The signature stays.

Of eager code these edits say nothing new either, and have their node computed again, behind which an equal result cuts
off: another name, parameter or annotation of a helper, of a class or of an inner function; another order of methods; a
function of a library that is imported from elsewhere; a field of a named tuple that is not read; a module of Python's
that is imported inside a function and not used; a variable that is named in a text which nobody evaluates. To tell them
from edits that count would take a list of who reads names."""

DIFFERENT = edits(
    r"""
=== a class registered with an abstract one
import abc
class Shape(abc.ABC): pass
class Square: pass
Shape.register(Square)
def f(x): return isinstance(Square(), Shape)
--- becomes
import abc
class Shape(abc.ABC): pass
class Square: pass
def f(x): return isinstance(Square(), Shape)

=== swapped operands
def f(a, b): return a - b
--- becomes
def f(a, b): return b - a

=== constant
def f(x): return x + 1
--- becomes
def f(x): return x + 2

=== constant's type
def f(x): return x + 1
--- becomes
def f(x): return x + 1.0

=== operator
def f(x): return x + 1
--- becomes
def f(x): return x - 1

=== attribute
def f(x): return x.a
--- becomes
def f(x): return x.b

=== keyword renamed in a call
def f(x): return dict(a=x)
--- becomes
def f(x): return dict(b=x)

=== helper's parameter renamed
def g(a, b): return a - b
def f(x): return g(b=x, a=1)
--- becomes
def g(b, a): return b - a
def f(x): return g(b=x, a=1)

=== other local
def f(x):
    y = 1
    z = 2
    return y
--- becomes
def f(x):
    y = 1
    z = 2
    return z

=== local or global
y = 1
def f(x):
    y = 1
    return y
--- becomes
y = 1
def f(x):
    global y
    y = 1
    return y

=== nonlocal
def f(x):
  y = 1
  def g():
    y = 2
  g()
  return y
--- becomes
def f(x):
  y = 1
  def g():
    nonlocal y
    y = 2
  g()
  return y

=== module constant
K = 1
def f(x): return x + K
--- becomes
K = 2
def f(x): return x + K

=== constant in a container
K = {'a': [1]}
def f(x): return K
--- becomes
K = {'a': [2]}
def f(x): return K

=== computed constant
K = 2 * 3
def f(x): return K
--- becomes
K = 2 * 4
def f(x): return K

=== helper
def g(x): return 10
def f(x): return g(x)
--- becomes
def g(x): return 20
def f(x): return g(x)

=== nested helper
def h(): return 1
def g(): return h()
def f(x): return g()
--- becomes
def h(): return 2
def g(): return h()
def f(x): return g()

=== helper in a lambda
def g(): return 1
f = lambda x: g()
--- becomes
def g(): return 2
f = lambda x: g()

=== helper in a comprehension
def g(i): return 1
def f(x): return [g(i) for i in x]
--- becomes
def g(i): return 2
def f(x): return [g(i) for i in x]

=== helper in a nested function
def g(): return 1
def f(x):
  def h(): return g()
  return h
--- becomes
def g(): return 2
def f(x):
  def h(): return g()
  return h

=== helper in a container
def g(): return 1
T = {'g': [g]}
def f(x): return T
--- becomes
def g(): return 2
T = {'g': [g]}
def f(x): return T

=== closure value
def make(k):
  def f(x): return x + k
  return f
f = make(1)
--- becomes
def make(k):
  def f(x): return x + k
  return f
f = make(2)

=== closure function
def make(k):
  def f(x): return k(x)
  return f
f = make(lambda x: 1)
--- becomes
def make(k):
  def f(x): return k(x)
  return f
f = make(lambda x: 2)

=== default
def f(x, k=1): return k
--- becomes
def f(x, k=2): return k

=== keyword default
def f(x, *, k=1): return k
--- becomes
def f(x, *, k=2): return k

=== default of a helper
def g(k=1): return k
def f(x): return g()
--- becomes
def g(k=2): return k
def f(x): return g()

=== function attribute
def f(x): return f.k
f.k = 1
--- becomes
def f(x): return f.k
f.k = 2

=== class attribute
class A:
  k = 1
def f(x): return A.k
--- becomes
class A:
  k = 2
def f(x): return A.k

=== method body
class A:
  def m(self): return 1
def f(x): return A().m()
--- becomes
class A:
  def m(self): return 2
def f(x): return A().m()

=== method renamed
class A:
  def m(self): return 1
def f(x): return A()
--- becomes
class A:
  def n(self): return 1
def f(x): return A()

=== static method
class A:
  @staticmethod
  def m(): return 1
def f(x): return A.m()
--- becomes
class A:
  @staticmethod
  def m(): return 2
def f(x): return A.m()

=== kind of method
class A:
  @staticmethod
  def m(x): return 1
def f(x): return A.m
--- becomes
class A:
  @classmethod
  def m(x): return 1
def f(x): return A.m

=== property
class A:
  @property
  def p(self): return 1
def f(x): return A().p
--- becomes
class A:
  @property
  def p(self): return 2
def f(x): return A().p

=== cached property
from functools import cached_property as c
class A:
  @c
  def p(self): return 1
def f(x): return A().p
--- becomes
from functools import cached_property as c
class A:
  @c
  def p(self): return 2
def f(x): return A().p

=== base class
class B:
  def m(self): return 1
class A(B): pass
def f(x): return A()
--- becomes
class B:
  def m(self): return 2
class A(B): pass
def f(x): return A()

=== super
class B:
  def m(self): return 1
class A(B):
  def m(self): return super().m()
f = A().m
--- becomes
class B:
  def m(self): return 2
class A(B):
  def m(self): return super().m()
f = A().m

=== metaclass
class M(type):
  def __len__(cls): return 1
class A(metaclass=M): pass
def f(x): return len(A)
--- becomes
class M(type):
  def __len__(cls): return 2
class A(metaclass=M): pass
def f(x): return len(A)

=== instance
class A:
  def __init__(self, k): self.k = k
a = A(1)
def f(x): return a.k
--- becomes
class A:
  def __init__(self, k): self.k = k
a = A(2)
def f(x): return a.k

=== callable object
class A:
  def __call__(self, x): return 1
f = A()
--- becomes
class A:
  def __call__(self, x): return 2
f = A()

=== bound method's object
class A:
  def __init__(self, k): self.k = k
  def m(self, x): return self.k
f = A(1).m
--- becomes
class A:
  def __init__(self, k): self.k = k
  def m(self, x): return self.k
f = A(2).m

=== enum value
from enum import Enum
class E(Enum):
  A = 1
def f(x): return E.A
--- becomes
from enum import Enum
class E(Enum):
  A = 2
def f(x): return E.A

=== enum method
from enum import Enum
class E(Enum):
  A = 1
  def m(self): return 1
def f(x): return E.A.m()
--- becomes
from enum import Enum
class E(Enum):
  A = 1
  def m(self): return 2
def f(x): return E.A.m()

=== dataclass default
from dataclasses import dataclass
@dataclass
class D:
  k: int = 1
def f(x): return D()
--- becomes
from dataclasses import dataclass
@dataclass
class D:
  k: int = 2
def f(x): return D()

=== dataclass factory
from dataclasses import dataclass, field
@dataclass
class D:
  k: int = field(default_factory=lambda: [1])
def f(x): return D()
--- becomes
from dataclasses import dataclass, field
@dataclass
class D:
  k: int = field(default_factory=lambda: [2])
def f(x): return D()

=== dataclass field order
from dataclasses import dataclass
@dataclass
class D:
  a: int
  b: int
def f(x): return D(1, 2)
--- becomes
from dataclasses import dataclass
@dataclass
class D:
  b: int
  a: int
def f(x): return D(1, 2)

=== dataclass method
from dataclasses import dataclass
@dataclass
class D:
  a: int
  def __post_init__(self): self.a = 1
def f(x): return D(1)
--- becomes
from dataclasses import dataclass
@dataclass
class D:
  a: int
  def __post_init__(self): self.a = 2
def f(x): return D(1)

=== named tuple default
from typing import NamedTuple
class T(NamedTuple):
  a: int = 1
def f(x): return T()
--- becomes
from typing import NamedTuple
class T(NamedTuple):
  a: int = 2
def f(x): return T()

=== partial argument
from functools import partial
def g(k, x): return k
f = partial(g, 1)
--- becomes
from functools import partial
def g(k, x): return k
f = partial(g, 2)

=== partial keyword
from functools import partial
def g(k, x): return k
f = partial(g, k=1)
--- becomes
from functools import partial
def g(k, x): return k
f = partial(g, x=1)

=== wrapped function
from functools import wraps
def d(g):
  @wraps(g)
  def w(x): return g(x)
  return w
@d
def f(x): return 1
--- becomes
from functools import wraps
def d(g):
  @wraps(g)
  def w(x): return g(x)
  return w
@d
def f(x): return 2

=== wrapper
from functools import wraps
def d(g):
  @wraps(g)
  def w(x): return g(x) + 1
  return w
@d
def f(x): return 1
--- becomes
from functools import wraps
def d(g):
  @wraps(g)
  def w(x): return g(x) + 2
  return w
@d
def f(x): return 1

=== decorator's argument
def d(k):
  def e(g):
    def w(x): return g(x) + k
    return w
  return e
@d(1)
def f(x): return 1
--- becomes
def d(k):
  def e(g):
    def w(x): return g(x) + k
    return w
  return e
@d(2)
def f(x): return 1

=== lru_cache
from functools import lru_cache
@lru_cache
def g(x): return 1
def f(x): return g(x)
--- becomes
from functools import lru_cache
@lru_cache
def g(x): return 2
def f(x): return g(x)

=== context manager
from contextlib import contextmanager
@contextmanager
def g(): yield 1
def f(x):
  with g() as y: return y
--- becomes
from contextlib import contextmanager
@contextmanager
def g(): yield 2
def f(x):
  with g() as y: return y

=== single dispatch
from functools import singledispatch
@singledispatch
def g(x): return 0
@g.register
def _(x: int): return 1
def f(x): return g(x)
--- becomes
from functools import singledispatch
@singledispatch
def g(x): return 0
@g.register
def _(x: int): return 2
def f(x): return g(x)

=== recursion
def f(x): return f(x - 1) if x else 0
--- becomes
def f(x): return f(x - 2) if x else 0

=== recursion or not
def f(x): return f(x)
--- becomes
def g(x): return g
def f(x): return g(x)

=== mutual recursion
def g(x): return f(x - 1)
def f(x): return g(x) if x else 0
--- becomes
def g(x): return f(x - 2)
def f(x): return g(x) if x else 0

=== which helper
def g(): return 1
def h(): return 2
def f(x): return g(), h()
--- becomes
def g(): return 1
def h(): return 2
def f(x): return h(), g()

=== same helper twice
def g(): return 1
def h(): return 1
def f(x): return g(), h()
--- becomes
def g(): return 1
def h(): return 2
def f(x): return g(), h()

=== annotation of a grouped function
import pandas as pd
def f(x):
  def g(p): return p
  return x.applyInPandas(g, 'a int')
--- becomes
import pandas as pd
def f(x):
  def g(p: pd.DataFrame): return p
  return x.applyInPandas(g, 'a int')

=== none or absent
def f(x): return {None: x}
--- becomes
def f(x): return {**x}

=== async
def f(x):
  def g(): return 1
  return g
--- becomes
def f(x):
  async def g(): return 1
  return g

=== name seen by eval
def f(x):
  y = x
  return eval('y')
--- becomes
def f(x):
  z = x
  return eval('y')

=== global defined
def f(x): return K
--- becomes
K = None
def f(x): return K

=== shadowed builtin
def f(x): return len(x)
--- becomes
def len(x): return 1
def f(x): return len(x)

=== other library function
import math
def f(x): return math.sin(x)
--- becomes
import math
def f(x): return math.cos(x)

=== other library class
from collections import OrderedDict as D
def f(x): return D(x)
--- becomes
from collections import Counter as D
def f(x): return D(x)

=== private name
def _A__g(): return 1
class A:
  def m(self, x): return __g()
f = A().m
--- becomes
def _A__g(): return 2
class A:
  def m(self, x): return __g()
f = A().m

=== udf body
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType as I
@F.udf(returnType=I())
def g(x): return x + 1
def f(x): return x.select(g('a'))
--- becomes
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType as I
@F.udf(returnType=I())
def g(x): return x + 2
def f(x): return x.select(g('a'))

=== udf type
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType as I
def g(x): return x
u = F.udf(g, I())
def f(x): return x.select(u('a'))
--- becomes
from pyspark.sql import functions as F
from pyspark.sql.types import LongType as I
def g(x): return x
u = F.udf(g, I())
def f(x): return x.select(u('a'))

=== constant of a dataclass
from dataclasses import dataclass, InitVar, field
from typing import ClassVar
@dataclass
class D:
  a: int
  LIMIT: ClassVar[int] = 1
def f(x): return D(1)
--- becomes
from dataclasses import dataclass, InitVar, field
from typing import ClassVar
@dataclass
class D:
  a: int
  LIMIT: ClassVar[int] = 2
def f(x): return D(1)

=== parameter of a dataclass
from dataclasses import dataclass, InitVar, field
from typing import ClassVar
@dataclass
class D:
  a: int
  k: InitVar[int] = 1
def f(x): return D(1)
--- becomes
from dataclasses import dataclass, InitVar, field
from typing import ClassVar
@dataclass
class D:
  a: int
  k: InitVar[int] = 2
def f(x): return D(1)

=== metadata of a dataclass
from dataclasses import dataclass, InitVar, field
from typing import ClassVar
@dataclass
class D:
  a: int
  k: int = field(default=1, metadata={'unit': 's'})
def f(x): return D(1)
--- becomes
from dataclasses import dataclass, InitVar, field
from typing import ClassVar
@dataclass
class D:
  a: int
  k: int = field(default=1, metadata={'unit': 'm'})
def f(x): return D(1)

=== slotted dataclass
from dataclasses import dataclass
@dataclass(slots=True, frozen=True)
class D:
  a: int = 1
def f(x): return D()
--- becomes
from dataclasses import dataclass
@dataclass(slots=True, frozen=True)
class D:
  a: int = 2
def f(x): return D()

=== private attribute of an enum
from enum import Enum
class E(Enum):
  A = 1
  __k = 1
def f(x): return E.A
--- becomes
from enum import Enum
class E(Enum):
  A = 1
  __k = 2
def f(x): return E.A

=== dunder attribute
class A:
  __table__ = 'a'
def f(x): return A
--- becomes
class A:
  __table__ = 'b'
def f(x): return A

=== private method
class A:
  def _m(self): return 1
  def __n(self): return 1
def f(x): return A
--- becomes
class A:
  def _m(self): return 1
  def __n(self): return 2
def f(x): return A

=== called back by keyword
def g(y): return f(x=y)
def f(x): return g(x)
--- becomes
def g(y): return f(x=y)
def f(z): return g(z)

=== slot of a class
class A:
  __slots__ = ('a',)
def f(x): return A
--- becomes
class A:
  __slots__ = ('b',)
def f(x): return A

=== global that a query mentions
LIMIT = 10
def f(rows): return len(rows.query("age > @LIMIT"))
--- becomes
LIMIT = 20
def f(rows): return len(rows.query("age > @LIMIT"))

=== global that a query in a global mentions
LIMIT, QUERY = 10, "age > @LIMIT"
def f(rows): return len(rows.query(QUERY))
--- becomes
LIMIT, QUERY = 20, "age > @LIMIT"
def f(rows): return len(rows.query(QUERY))

=== global that a query in a local mentions
LIMIT = 10
def f(rows):
    condition = "age > @LIMIT"
    return len(rows.query(condition))
--- becomes
LIMIT = 20
def f(rows):
    condition = "age > @LIMIT"
    return len(rows.query(condition))

=== global that a query beside a keyword mentions
LIMIT = 10
def f(rows):
    condition = "age > @LIMIT"
    return len(rows.query(condition, engine="python"))
--- becomes
LIMIT = 20
def f(rows):
    condition = "age > @LIMIT"
    return len(rows.query(condition, engine="python"))

=== global that a query by keyword mentions
LIMIT = 10
def f(rows):
    condition = "age > @LIMIT"
    return len(rows.query(expr=condition))
--- becomes
LIMIT = 20
def f(rows):
    condition = "age > @LIMIT"
    return len(rows.query(expr=condition))

=== global that a joined query mentions
LIMIT = 10
def f(rows):
    return len(rows.query(" and ".join(["age > @LIMIT", "age < 90"])))
--- becomes
LIMIT = 20
def f(rows):
    return len(rows.query(" and ".join(["age > @LIMIT", "age < 90"])))

=== global that a formatted query mentions
LIMIT = 10
def f(rows, most):
    return len(rows.query("age > @LIMIT and age < {}".format(most)))
--- becomes
LIMIT = 20
def f(rows, most):
    return len(rows.query("age > @LIMIT and age < {}".format(most)))

=== global that a query put together mentions
LIMIT = 10
def f(rows, most):
    return len(rows.query("age > @LIMIT" + most))
--- becomes
LIMIT = 20
def f(rows, most):
    return len(rows.query("age > @LIMIT" + most))

=== global that a query handed on mentions
LIMIT = 10
def kept(rows, condition): return rows.query(condition)
def f(rows): return len(kept(rows, "age > @LIMIT"))
--- becomes
LIMIT = 20
def kept(rows, condition): return rows.query(condition)
def f(rows): return len(kept(rows, "age > @LIMIT"))

=== global that one of several queries mentions
LIMIT = 10
QUERIES = {"old": "age > @LIMIT"}
def f(rows): return len(rows.query(QUERIES["old"]))
--- becomes
LIMIT = 20
QUERIES = {"old": "age > @LIMIT"}
def f(rows): return len(rows.query(QUERIES["old"]))

=== table that one of several texts to be evaluated names
import pandas as pd
PRICES = pd.DataFrame({"n": [1]})
QUERIES = {"all": "PRICES + 1"}
def ask(name): return pd.eval(QUERIES[name])
def f(rows): return ask("all")
--- becomes
import pandas as pd
PRICES = pd.DataFrame({"n": [2]})
QUERIES = {"all": "PRICES + 1"}
def ask(name): return pd.eval(QUERIES[name])
def f(rows): return ask("all")

=== global that the query of an object mentions
LIMIT = 10
class Config:
  query = "age > @LIMIT"
CONFIG = Config()
def f(rows): return len(rows.query(CONFIG.query))
--- becomes
LIMIT = 20
class Config:
  query = "age > @LIMIT"
CONFIG = Config()
def f(rows): return len(rows.query(CONFIG.query))

=== global called as the variable of a comprehension
LIMIT = 10
def f(rows):
    return [LIMIT for LIMIT in (1, 2)], rows.query("age > @LIMIT")
--- becomes
LIMIT = 20
def f(rows):
    return [LIMIT for LIMIT in (1, 2)], rows.query("age > @LIMIT")

=== global that an evaluated text in a local mentions
LIMIT = 10
import pandas as pd
def f(rows):
    query = "LIMIT + 1"
    return pd.eval(query)
--- becomes
LIMIT = 20
import pandas as pd
def f(rows):
    query = "LIMIT + 1"
    return pd.eval(query)

=== global that an expression in a dict mentions
LIMIT = 10
import pandas as pd
EXPRESSIONS = {"old": "hours > LIMIT"}
def f(rows):
    hours = rows.hours
    return pd.eval(EXPRESSIONS["old"])
--- becomes
LIMIT = 20
import pandas as pd
EXPRESSIONS = {"old": "hours > LIMIT"}
def f(rows):
    hours = rows.hours
    return pd.eval(EXPRESSIONS["old"])

=== global that a formula handed on mentions
LEAST = 10
import pandas as pd
def value(rows, text): return pd.eval(text)
def f(rows): return value(rows, "rows.age + LEAST")
--- becomes
LEAST = 20
import pandas as pd
def value(rows, text): return pd.eval(text)
def f(rows): return value(rows, "rows.age + LEAST")

=== locals that a query in a local mentions
def f(rows):
    lo, hi = 1, 5
    condition = "age > @lo"
    return rows.query(condition)
--- becomes
def f(rows):
    hi, lo = 1, 5
    condition = "age > @lo"
    return rows.query(condition)

=== variables of a comprehension that a query mentions
def f(rows):
    return [rows.query("age > @lo") for lo, hi in [(1, 5)]]
--- becomes
def f(rows):
    return [rows.query("age > @lo") for hi, lo in [(1, 5)]]

=== locals that a query from elsewhere mentions
def kept(rows, condition):
    lo, hi = 1, 5
    return rows.query(condition)
def f(rows): return kept(rows, "age > @lo")
--- becomes
def kept(rows, condition):
    hi, lo = 1, 5
    return rows.query(condition)
def f(rows): return kept(rows, "age > @lo")

=== name of a function made a udf
from pyspark.sql import functions as F
def shout(x): return x
def f(rows): return rows.select(F.udf(shout, 'string')('n'))
--- becomes
from pyspark.sql import functions as F
def whisper(x): return x
def f(rows): return rows.select(F.udf(whisper, 'string')('n'))

=== name of a function made a udf imported by itself
from pyspark.sql.functions import udf
def shout(x): return x
def f(rows): return rows.select(udf(shout)('n'))
--- becomes
from pyspark.sql.functions import udf
def whisper(x): return x
def f(rows): return rows.select(udf(whisper)('n'))

=== name of a function made a udf imported under another name
from pyspark.sql.functions import pandas_udf as by_batch
def shout(x): return x
def f(rows): return rows.select(by_batch(shout, 'long')('n'))
--- becomes
from pyspark.sql.functions import pandas_udf as by_batch
def whisper(x): return x
def f(rows): return rows.select(by_batch(whisper, 'long')('n'))

=== name of a function made a udf given its type first
from pyspark.sql import functions as F
def shout(x): return x
def f(rows): return rows.select(F.udf('string')(shout)('n'))
--- becomes
from pyspark.sql import functions as F
def whisper(x): return x
def f(rows): return rows.select(F.udf('string')(whisper)('n'))

=== name of a function made a udf by keyword
from pyspark.sql import functions as F
def shout(x): return x
def f(rows): return rows.select(F.udf(returnType='string', f=shout)('n'))
--- becomes
from pyspark.sql import functions as F
def whisper(x): return x
def f(rows): return rows.select(F.udf(returnType='string', f=whisper)('n'))

=== locals that a query mentions
def f(rows):
    lo, hi = 1, 5
    return rows.query("age > @lo"), hi
--- becomes
def f(rows):
    hi, lo = 1, 5
    return rows.query("age > @lo"), hi

=== name of a function that is read
def acc(x): return x
METRICS = [acc]
def f(x): return {m.__name__: m(x) for m in METRICS}
--- becomes
def accuracy(x): return x
METRICS = [accuracy]
def f(x): return {m.__name__: m(x) for m in METRICS}

=== name of a function that is read outright
def acc(x): return x
def f(x): return acc.__name__
--- becomes
def accuracy(x): return x
def f(x): return accuracy.__name__

=== name of a class that is put into a text
class Acc: pass
def f(x): return f"{type(Acc())}"
--- becomes
class Accuracy: pass
def f(x): return f"{type(Accuracy())}"

=== name of a class of an object that is made a text
class Acc: pass
def f(x): return str(Acc().__class__)
--- becomes
class Accuracy: pass
def f(x): return str(Accuracy().__class__)

=== function that names a column of an aggregation
def p90(x): return x.quantile(0.9)
def f(rows): return rows.groupby("a").agg([p90])
--- becomes
def q90(x): return x.quantile(0.9)
def f(rows): return rows.groupby("a").agg([q90])

=== type of a field
from dataclasses import dataclass
@dataclass
class Row:
  age: int
def f(x): return Row
--- becomes
from dataclasses import dataclass
@dataclass
class Row:
  age: float
def f(x): return Row

=== type of a field of a named tuple
from typing import NamedTuple
class Row(NamedTuple):
  age: int
def f(x): return Row
--- becomes
from typing import NamedTuple
class Row(NamedTuple):
  age: float
def f(x): return Row

=== attribute that a dataclass is given later
from dataclasses import dataclass
@dataclass
class Config:
  alpha: float = 0.1
Config.alpha = 0.2
def f(x): return Config.alpha
--- becomes
from dataclasses import dataclass
@dataclass
class Config:
  alpha: float = 0.1
Config.alpha = 0.3
def f(x): return Config.alpha

=== name of a udf, after which Spark names the column
from pyspark.sql.functions import udf
def clean(x): return x
U = udf(clean)
def f(rows): return rows.select(U("x"))
--- becomes
from pyspark.sql.functions import udf
def cleaned(x): return x
U = udf(cleaned)
def f(rows): return rows.select(U("x"))

=== name of an inner function that names a column of an aggregation
def f(rows):
    def p90(x): return x.quantile(0.9)
    return rows.groupby("a").agg([p90])
--- becomes
def f(rows):
    def q90(x): return x.quantile(0.9)
    return rows.groupby("a").agg([q90])

=== name of an inner udf
from pyspark.sql import functions as F
def f(rows):
    @F.udf("double")
    def clean(x): return x
    return rows.select(clean("x"))
--- becomes
from pyspark.sql import functions as F
def f(rows):
    @F.udf("double")
    def cleaned(x): return x
    return rows.select(cleaned("x"))

=== function in a table of aggregations
def p90(x): return x.quantile(0.9)
AGGS = {"x": [p90]}
def f(rows): return rows.groupby("a").agg(AGGS)
--- becomes
def q90(x): return x.quantile(0.9)
AGGS = {"x": [q90]}
def f(rows): return rows.groupby("a").agg(AGGS)

=== function that is handed to an aggregation
def p90(x): return x.quantile(0.9)
def summary(rows, how): return rows.groupby("a").agg(how)
def f(rows): return summary(rows, [p90])
--- becomes
def q90(x): return x.quantile(0.9)
def summary(rows, how): return rows.groupby("a").agg(how)
def f(rows): return summary(rows, [q90])

=== locals that an evaluated text mentions
import pandas as pd
def f(rows):
    lo, hi = 1, 5
    return pd.eval("hi - lo"), rows
--- becomes
import pandas as pd
def f(rows):
    hi, lo = 1, 5
    return pd.eval("hi - lo"), rows

=== type of a field of a field
from dataclasses import dataclass
@dataclass
class Point:
  x: int
@dataclass
class Row:
  point: Point
def f(x): return Row
--- becomes
from dataclasses import dataclass
@dataclass
class Point:
  x: float
@dataclass
class Row:
  point: Point
def f(x): return Row

=== type of a field that is written as text
from __future__ import annotations
from dataclasses import dataclass
@dataclass
class Row:
  age: int | None
def f(x): return Row
--- becomes
from __future__ import annotations
from dataclasses import dataclass
@dataclass
class Row:
  age: float | None
def f(x): return Row

=== annotations of a class that are read
class Schema:
  age: int
def f(x): return list(Schema.__annotations__)
--- becomes
class Schema:
  age: int
  name: str
def f(x): return list(Schema.__annotations__)

=== annotations whose order is read
class Schema:
  age: int
  name: str
def names(kind): return list(kind.__annotations__)
def f(x): return names(Schema)
--- becomes
class Schema:
  name: str
  age: int
def names(kind): return list(kind.__annotations__)
def f(x): return names(Schema)

=== type hints that are read
from typing import get_type_hints
class Schema:
  age: int
def f(x): return get_type_hints(Schema)
--- becomes
from typing import get_type_hints
class Schema:
  age: float
def f(x): return get_type_hints(Schema)

=== type hints of a class that is named in a type hint
from __future__ import annotations
import typing
class Point:
  x: int
class Schema:
  at: Point
def f(x): return typing.get_type_hints(Schema)
--- becomes
from __future__ import annotations
import typing
class Point:
  x: float
class Schema:
  at: Point
def f(x): return typing.get_type_hints(Schema)

=== annotation of a function that is read
import inspect
def g(a: int): return a
def f(x): return inspect.get_annotations(g)
--- becomes
import inspect
def g(a: float): return a
def f(x): return inspect.get_annotations(g)

=== parameter in a signature that is read
import inspect
def g(a, /): return a
def f(x): return inspect.signature(g)
--- becomes
import inspect
def g(b, /): return b
def f(x): return inspect.signature(g)

=== annotation of an inner function that is read
import inspect
def f(x):
  def g(a: int): return a
  return inspect.signature(g)
--- becomes
import inspect
def f(x):
  def g(a: float): return a
  return inspect.signature(g)

=== annotation of an inner function that a signature is made from
import inspect
def f(x):
  def g(a: int): return a
  return str(inspect.Signature.from_callable(g))
--- becomes
import inspect
def f(x):
  def g(a: float): return a
  return str(inspect.Signature.from_callable(g))

=== parameter of an inner function that is read
import inspect
def f(x):
  def g(a, /, *rest): return a
  return str(inspect.signature(g))
--- becomes
import inspect
def f(x):
  def g(a, /, *more): return a
  return str(inspect.signature(g))

=== name of an inner function that is read of its code
def f(x):
  def g(a): return a
  return g.__code__.co_name
--- becomes
def f(x):
  def h(a): return a
  return h.__code__.co_name

=== order of members that is read by vars
class Columns:
  a = 1
  b = 2
def f(x): return [name for name in vars(Columns)]
--- becomes
class Columns:
  b = 2
  a = 1
def f(x): return [name for name in vars(Columns)]

=== order of members that is read by their dict
class Columns:
  a = 1
  b = 2
def f(x): return list(Columns.__dict__.items())
--- becomes
class Columns:
  b = 2
  a = 1
def f(x): return list(Columns.__dict__.items())

=== order of members that a helper reads by vars
class Columns:
  a = 1
  b = 2
def names(kind): return [name for name in vars(kind)]
def f(x): return names(Columns)
--- becomes
class Columns:
  b = 2
  a = 1
def names(kind): return [name for name in vars(kind)]
def f(x): return names(Columns)

=== order of members that a class method reads
class Columns:
  a = 1
  b = 2
  @classmethod
  def names(cls): return list(cls.__dict__)
def f(x): return Columns.names()
--- becomes
class Columns:
  b = 2
  a = 1
  @classmethod
  def names(cls): return list(cls.__dict__)
def f(x): return Columns.names()

=== type that a function dispatches to
from functools import singledispatch
class A: pass
class B: pass
@singledispatch
def g(x): return 0
@g.register(A)
def _(x): return 1
def f(x): return g(B())
--- becomes
from functools import singledispatch
class A: pass
class B: pass
@singledispatch
def g(x): return 0
@g.register(B)
def _(x): return 1
def f(x): return g(B())

=== body of a table function
from pyspark.sql import functions as F
@F.udtf(returnType="n int")
class Twice:
  def eval(self, n): yield n * 2,
def f(x): return Twice
--- becomes
from pyspark.sql import functions as F
@F.udtf(returnType="n int")
class Twice:
  def eval(self, n): yield n * 3,
def f(x): return Twice

=== what a table function returns
from pyspark.sql import functions as F
@F.udtf(returnType="n int")
class Twice:
  def eval(self, n): yield n * 2,
def f(x): return Twice
--- becomes
from pyspark.sql import functions as F
@F.udtf(returnType="n long")
class Twice:
  def eval(self, n): yield n * 2,
def f(x): return Twice

=== function that names a column of a transformation
def halve(x): return x / 2
def f(rows): return rows.transform([halve])
--- becomes
def half(x): return x / 2
def f(rows): return rows.transform([half])

=== function that names a column of several applied
def p90(x): return x.quantile(0.9)
def f(rows): return rows.apply({'a': [p90]})
--- becomes
def q90(x): return x.quantile(0.9)
def f(rows): return rows.apply({'a': [q90]})

=== functions in a list that are applied
def p90(x): return x.quantile(0.9)
HOW = [p90]
def f(rows): return rows.a.apply(HOW)
--- becomes
def q90(x): return x.quantile(0.9)
HOW = [q90]
def f(rows): return rows.a.apply(HOW)

=== functions that a helper applies
def p90(x): return x.quantile(0.9)
def summary(rows, how): return rows.a.apply(how)
def f(rows): return summary(rows, [p90])
--- becomes
def q90(x): return x.quantile(0.9)
def summary(rows, how): return rows.a.apply(how)
def f(rows): return summary(rows, [q90])

=== functions that a helper returns to be applied
def p90(x): return x.quantile(0.9)
def how(): return [p90]
def f(rows): return rows.agg(how())
--- becomes
def q90(x): return x.quantile(0.9)
def how(): return [q90]
def f(rows): return rows.agg(how())

=== function that names a column of a cross table
import pandas as pd
def p90(x): return x.quantile(0.9)
def f(rows): return pd.crosstab(rows.a, rows.b, rows.c, aggfunc=[p90])
--- becomes
import pandas as pd
def q90(x): return x.quantile(0.9)
def f(rows): return pd.crosstab(rows.a, rows.b, rows.c, aggfunc=[q90])

=== function that names a column of a cross table imported by itself
from pandas import crosstab as ct
def p90(x): return x.quantile(0.9)
def f(rows): return ct(rows.a, rows.b, rows.c, aggfunc=[p90])
--- becomes
from pandas import crosstab as ct
def q90(x): return x.quantile(0.9)
def f(rows): return ct(rows.a, rows.b, rows.c, aggfunc=[q90])

=== name that a function was given
def z(x): return x
z.__name__ = 'zscore'
def f(rows): return rows.transform([z])
--- becomes
def z(x): return x
z.__name__ = 'std'
def f(rows): return rows.transform([z])

=== name that a callable object was given
class A:
  def __init__(self, n): self.__name__ = n
  def __call__(self, x): return x.sum()
TOTAL = A('total')
def f(rows): return rows.agg([TOTAL])
--- becomes
class A:
  def __init__(self, n): self.__name__ = n
  def __call__(self, x): return x.sum()
TOTAL = A('sum')
def f(rows): return rows.agg([TOTAL])

=== name of the class of a callable object
class Total:
  def __call__(self, x): return x.sum()
HOW = Total()
def f(rows): return rows.agg([HOW])
--- becomes
class Sum:
  def __call__(self, x): return x.sum()
HOW = Sum()
def f(rows): return rows.agg([HOW])

=== name of an inner function of a factory
def quantile(n):
  def p(x): return x.quantile(n)
  return p
def f(rows): return rows.agg([quantile(0.5)])
--- becomes
def quantile(n):
  def q(x): return x.quantile(n)
  return q
def f(rows): return rows.agg([quantile(0.5)])

=== docstring of an object
class A: pass
a = A()
a.__doc__ = 'one'
def f(x): return a.__doc__
--- becomes
class A: pass
a = A()
a.__doc__ = 'two'
def f(x): return a.__doc__

=== docstring of the module
'one'
def f(x): return __doc__
--- becomes
'two'
def f(x): return __doc__

=== variable that is put among the builtins
import builtins
builtins.LIMIT_ = 1
def f(x): return LIMIT_
--- becomes
import builtins
builtins.LIMIT_ = 2
def f(x): return LIMIT_

=== function that is put among the builtins
import builtins
def clean(x): return 1
builtins.clean_ = clean
def f(x): return clean_(x)
--- becomes
import builtins
def clean(x): return 2
builtins.clean_ = clean
def f(x): return clean_(x)

=== name of an enum that a text shows
from enum import Enum
class Color(Enum):
  RED = 1
def f(x): return str(Color.RED)
--- becomes
from enum import Enum
class Colour(Enum):
  RED = 1
def f(x): return str(Colour.RED)

=== name of a dataclass that a text shows
from dataclasses import dataclass
@dataclass
class Config:
  a: int = 1
def f(x): return f'{Config()}'
--- becomes
from dataclasses import dataclass
@dataclass
class Settings:
  a: int = 1
def f(x): return f'{Settings()}'

=== name of a dataclass that a helper shows
from dataclasses import dataclass
@dataclass
class Config:
  a: int = 1
def show(x): return '%s' % x
def f(x): return show(Config())
--- becomes
from dataclasses import dataclass
@dataclass
class Settings:
  a: int = 1
def show(x): return '%s' % x
def f(x): return show(Settings())

=== name of an inner class that a text shows
def f(x):
  from enum import Enum
  class Color(Enum):
    RED = 1
  return '{}'.format(Color.RED)
--- becomes
def f(x):
  from enum import Enum
  class Colour(Enum):
    RED = 1
  return '{}'.format(Colour.RED)

=== name of a class that names a step
from sklearn.pipeline import make_pipeline
class Doubler:
  def fit(self, X, y=None): return self
  def transform(self, X): return X
def f(x): return list(make_pipeline(Doubler()).named_steps)
--- becomes
from sklearn.pipeline import make_pipeline
class Twice:
  def fit(self, X, y=None): return self
  def transform(self, X): return X
def f(x): return list(make_pipeline(Twice()).named_steps)

=== annotation of an inner function that is read under another name
from inspect import signature as s
def f(x):
  def g(a: int): return a
  return s(g)
--- becomes
from inspect import signature as s
def f(x):
  def g(a: float): return a
  return s(g)

=== annotation of an inner function that a helper reads
import inspect
def told(g): return inspect.signature(g)
def f(x):
  def g(a: int): return a
  return told(g)
--- becomes
import inspect
def told(g): return inspect.signature(g)
def f(x):
  def g(a: float): return a
  return told(g)

=== parameter of a helper that is given by **
def g(a=1, b=2): return a - b
def f(x): return g(**{'a': 5})
--- becomes
def g(b=1, a=2): return b - a
def f(x): return g(**{'a': 5})

=== parameter of a helper that is handed on
def g(a, b): return a - b
def apply(how): return how(b=1, a=2)
def f(x): return apply(g)
--- becomes
def g(b, a): return b - a
def apply(how): return how(b=1, a=2)
def f(x): return apply(g)

=== parameter of a method
class A:
  def g(self, a, b): return a - b
def f(x): return A().g(b=1, a=2)
--- becomes
class A:
  def g(self, b, a): return b - a
def f(x): return A().g(b=1, a=2)

=== parameter that is the object itself where a library may look at it
from sklearn.base import BaseEstimator
class A(BaseEstimator):
  def __init__(self, k=1): self.k = k
def f(x): return A().get_params()
--- becomes
from sklearn.base import BaseEstimator
class A(BaseEstimator):
  def __init__(this, k=1): this.k = k
def f(x): return A().get_params()

=== library that is imported inside and not used
def f(x): return x
--- becomes
def f(x):
    import pandas
    return x

=== module that may not be there
def f(x):
    try:
        import fcntl
        return 1
    except ImportError:
        return 2
--- becomes
def f(x):
    try:
        import winreg
        return 1
    except ImportError:
        return 2

=== parameter of a helper in a list
def g(a, b): return a - b
ALL = [g]
def f(x): return ALL[0](b=1, a=2)
--- becomes
def g(b, a): return b - a
ALL = [g]
def f(x): return ALL[0](b=1, a=2)

=== parameter of a function that calls itself by name
def f(x, k=1): return f(x=k, k=x) if x else 0
--- becomes
def f(k, x=1): return f(x=x, k=k) if k else 0

=== field of a configuration
from dataclasses import dataclass
@dataclass
class Config:
  a: int = 1
CFG = Config()
def f(x): return CFG.a
--- becomes
from dataclasses import dataclass
@dataclass
class Config:
  a: int = 1
CFG = Config(2)
def f(x): return CFG.a

=== default of a field of a configuration
from dataclasses import dataclass
@dataclass
class Config:
  a: int = 1
CFG = Config()
def f(x): return CFG.a
--- becomes
from dataclasses import dataclass
@dataclass
class Config:
  a: int = 2
CFG = Config()
def f(x): return CFG.a

=== constant of a base of a configuration
class Base:
  a = 1
class CFG(Base): pass
def f(x): return CFG.a
--- becomes
class Base:
  a = 2
class CFG(Base): pass
def f(x): return CFG.a

=== field of a configuration that is a property
class Config:
  b = 1
  @property
  def a(self): return self.b
CFG = Config()
def f(x): return CFG.a
--- becomes
class Config:
  b = 2
  @property
  def a(self): return self.b
CFG = Config()
def f(x): return CFG.a

=== field of a configuration whose class says how it is read
class Config:
  def __init__(self): self.a, self.b = 1, 2
  def __getattribute__(self, name): return object.__getattribute__(self, 'b')
CFG = Config()
def f(x): return CFG.a
--- becomes
class Config:
  def __init__(self): self.a, self.b = 1, 3
  def __getattribute__(self, name): return object.__getattribute__(self, 'b')
CFG = Config()
def f(x): return CFG.a

=== field of a configuration that is not there
class Config:
  b = 1
  def __getattr__(self, name): return self.b
CFG = Config()
def f(x): return CFG.a
--- becomes
class Config:
  b = 2
  def __getattr__(self, name): return self.b
CFG = Config()
def f(x): return CFG.a

=== method of a configuration
class Config:
  a, b = 1, 2
  def total(self): return self.a + self.b
CFG = Config()
def f(x): return CFG.a, CFG.total()
--- becomes
class Config:
  a, b = 1, 3
  def total(self): return self.a + self.b
CFG = Config()
def f(x): return CFG.a, CFG.total()

=== field of a configuration that a helper sets from another
class Config:
  a, b = 1, 2
CFG = Config()
def set_up(): CFG.a = CFG.b
def f(x):
  set_up()
  return CFG.a
--- becomes
class Config:
  a, b = 1, 3
CFG = Config()
def set_up(): CFG.a = CFG.b
def f(x):
  set_up()
  return CFG.a

=== configuration that is handed on beside a field of it
class Config:
  a, b = 1, 2
CFG = Config()
def g(c): return c.b
def f(x): return CFG.a, g(CFG)
--- becomes
class Config:
  a, b = 1, 3
CFG = Config()
def g(c): return c.b
def f(x): return CFG.a, g(CFG)

=== configuration that is told to set its fields
class Base:
  @classmethod
  def set_up(cls): cls.a = cls.b
class CFG(Base):
  a, b = 1, 2
def f(x):
  CFG.set_up()
  return CFG.a
--- becomes
class Base:
  @classmethod
  def set_up(cls): cls.a = cls.b
class CFG(Base):
  a, b = 1, 3
def f(x):
  CFG.set_up()
  return CFG.a

=== key of a configuration
CFG = {'a': 1}
def f(x): return CFG['a']
--- becomes
CFG = {'a': 2}
def f(x): return CFG['a']

=== key of a configuration that is not there yet
CFG = {'b': 1}
def f(x): return CFG['a']
--- becomes
CFG = {'a': 1}
def f(x): return CFG['a']

=== key of a configuration that is read by get
CFG = {'a': 1}
def f(x): return CFG.get('a', 3)
--- becomes
CFG = {'a': 2}
def f(x): return CFG.get('a', 3)

=== key of a configuration that get does not find
CFG = {'b': 1}
def f(x): return CFG.get('a', 3)
--- becomes
CFG = {'a': 1}
def f(x): return CFG.get('a', 3)

=== default of a key of a configuration
CFG = {'a': 1}
def f(x): return CFG.get('a', 3)
--- becomes
CFG = {'a': 1}
def f(x): return CFG.get('a', 4)

=== key of a configuration that is asked for beside one that is not known
CFG = {'a': 1, 'b': 1}
def f(x): return CFG.get('a', 3), CFG.get(x)
--- becomes
CFG = {'a': 1, 'b': 2}
def f(x): return CFG.get('a', 3), CFG.get(x)

=== key of a configuration whose get is handed on
CFG = {'a': 1, 'b': 1}
def f(x): return CFG.get('a', 3), list(map(CFG.get, x))
--- becomes
CFG = {'a': 1, 'b': 2}
def f(x): return CFG.get('a', 3), list(map(CFG.get, x))

=== key of a nested configuration
PARAMS = {'model': {'reg': 0.1}}
def f(x): return PARAMS['model']['reg']
--- becomes
PARAMS = {'model': {'reg': 0.2}}
def f(x): return PARAMS['model']['reg']

=== key of a configuration that is set
CFG = {'a': 1, 'b': 2}
def f(x):
  CFG['a'] = x
  return g()
def g(): return sum(CFG.values())
--- becomes
CFG = {'a': 1, 'b': 3}
def f(x):
  CFG['a'] = x
  return g()
def g(): return sum(CFG.values())

=== which field of a configuration
class CFG:
  a, b = 1, 1
def f(x): return CFG.a + CFG.b * CFG.a
--- becomes
class CFG:
  a, b = 1, 1
def f(x): return CFG.a + CFG.b * CFG.b

=== list in a configuration
class CFG:
  a = ['x']
def f(x): return CFG.a
--- becomes
class CFG:
  a = ['y']
def f(x): return CFG.a
"""
)
"""The signature changes, and changes back when the edit is taken back."""
