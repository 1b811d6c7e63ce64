type Moment = Date | string | number;

export interface TagConditions {
  eq?: string;
  ne?: string;
  any?: string[];
  all?: string[];
  none?: string[];
  in_?: string[];
  not_eq?: string;
  not_in?: string[];
  startswith?: string;
}

export interface TimeConditions {
  eq?: Moment;
  ne?: Moment;
  gt?: Moment;
  gte?: Moment;
  lt?: Moment;
  lte?: Moment;
  between?: [Moment, Moment];
  inclusive?: "both" | "neither" | "left" | "right";
}

/** Conditions of one field; all of them must hold. Goes over the wire as the plain object that it was made of. */
class Filter<Conditions extends object> {
  constructor(readonly conditions: Conditions) {}

  toJSON(): Conditions {
    return this.conditions;
  }
}

export class SessionId extends Filter<TagConditions> {}
export class Namespace extends Filter<TagConditions> {}
export class UserId extends Filter<TagConditions> {}
export class Topics extends Filter<TagConditions> {}
export class Entities extends Filter<TagConditions> {}
export class MemoryType extends Filter<Omit<TagConditions, "startswith">> {}
export class ExtractionStrategy extends Filter<TagConditions> {}
export class CreatedAt extends Filter<TimeConditions> {}
export class LastAccessed extends Filter<TimeConditions> {}
export class EventDate extends Filter<TimeConditions> {}

/** What a search takes for a field of names: a filter, its plain object, or a name that must be equal. */
export type TagFilter = string | TagConditions | Filter<TagConditions> | MemoryType;
/** What a search takes for a field of times. */
export type TimeFilter = TimeConditions | Filter<TimeConditions>;

/** A filter as the wire wants it. */
export function tagFilter(filter: TagFilter | undefined): object | undefined {
  return typeof filter === "string" ? { eq: filter } : filter;
}
